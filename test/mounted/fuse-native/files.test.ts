/** Files and directories of a mount of fuse-native, where it behaves like devfuse and where not. */
import * as assert from 'uvu/assert';
import { readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { reach } from '../../support/clients/actor.js';
import { eventText, publish, publishNumbered } from '../../support/clients/clients.js';
import { Shell, until, hasSaid } from '../../support/mount/daemon.js';
import { daemon, directory, nothingIsOpen, shell } from '../../support/mount/mounted.js';
import { AS_NOBODY, NOBODY } from '../../support/mount/other-user.js';
import { fuseNative, python, sh } from './common.js';

const native = fuseNative();

native('logs at the start that docs/drivers.md lists what it cannot do', async () => {
  await hasSaid(daemon, /^eventfs: mount: fuse-native: .*docs\/drivers\.md/m);
});

native('shows a process its events, and removes them by head and tail', async () => {
  const path = await directory();
  assert.is(statSync(path).mode & 0o7777, 0o755);
  publishNumbered(daemon.path, 3);
  const names = (await sh(`ls -f ${path}`))
    .split('\n')
    .filter((name) => name !== '' && !name.startsWith('.'));
  assert.is(names.length, 3);
  assert.is(readlinkSync(`${path}/head`), names[0]);
  assert.is(readlinkSync(`${path}/tail`), names[2]);
  assert.is(readFileSync(`${path}/head`, 'latin1'), eventText('/devices/n', { N: 0 }));
  assert.is(statSync(`${path}/head`).size, eventText('/devices/n', { N: 0 }).length);
  await sh(`rm ${path}/head && rm ${path}/tail`);
  assert.is(readlinkSync(`${path}/head`), names[1]);
  assert.is(readlinkSync(`${path}/tail`), names[1]);
  await sh(`rm ${path}/${names[1]}`);
  assert.is(reach(`${path}/head`), 'ENOENT');
  assert.equal(readdirSync(path), []);
});

native('shows the source of an event, as far as it is known', async () => {
  const path = await directory();
  const shown = 'getfattr --absolute-names --only-values -n user.eventfs.source';
  publishNumbered(daemon.path, 1);
  await sh(`chmod 0222 ${daemon.path}/publish`);
  publishNumbered(daemon.path, 1);
  await sh(`chmod 0200 ${daemon.path}/publish; echo add@/x > ${path}/made`);
  for (const [name, source] of [
    ['head', 'publish:0'],
    ['made', 'file:0'],
  ])
    assert.is(await sh(`${shown} ${path}/${name}`), source);
  await sh(`rm ${path}/head`);
  assert.is(await sh(`${shown} ${path}/head`), 'publish:unknown');
  assert.match(
    await sh(`setfattr -n user.eventfs.source -v x ${path}/made 2>&1 || true`),
    /not permitted/,
  );
});

native('shows the same inode number and the link count for all links', async () => {
  const [one, other] = [await directory(), await directory()];
  await sh(`printf hello > ${one}/event && ln ${one}/event ${other}/linked`);
  assert.is(statSync(`${one}/event`).nlink, 2);
  assert.is(statSync(`${one}/event`).ino, statSync(`${other}/linked`).ino);
  assert.is((await shell.run(`ln ${one}/event ${other}/linked`)).code, 1, 'EEXIST');
  await sh(`rm ${one}/event`);
  assert.is(statSync(`${other}/linked`).nlink, 1);
  assert.is(readFileSync(`${other}/linked`, 'latin1'), 'hello');
});

native(
  'keeps the place of a renamed event, and moves an event of another queue to the end',
  async () => {
    const [one, other] = [await directory(), await directory()];
    await sh(
      `cd ${one} && touch a b c && mv b z && cd / && touch ${other}/first && mv ${one}/a ${other}/a`,
    );
    assert.is(await sh(`ls -f ${one} | grep -v '^\\.'`), 'z\nc\n');
    assert.is(await sh(`ls -f ${other} | grep -v '^\\.'`), 'first\na\n');
  },
);

native(
  'keeps a removed or replaced file readable while it is open, and shows no other name',
  async () => {
    const path = await directory();
    await sh(
      `echo old > ${path}/event; echo new > ${path}/newer; exec 5< ${path}/event 6< ${path}/newer; rm ${path}/event`,
    );
    assert.equal(readdirSync(path), ['newer']);
    assert.is(reach(`${path}/event`), 'ENOENT');
    assert.is(await sh('cat <&5; stat -L -c "%s %h" /dev/fd/5'), 'old\n4 0\n');
    await sh(`echo newest > ${path}/newest; mv ${path}/newest ${path}/newer`);
    assert.equal(readdirSync(path), ['newer']);
    assert.is(await sh(`cat <&6; cat ${path}/newer; exec 5<&- 6<&-`), 'new\nnewest\n');
    await nothingIsOpen();
  },
);

native('writes, appends and truncates', async () => {
  const path = `${await directory()}/event`;
  await sh(`echo one > ${path}; echo two >> ${path}`);
  assert.is(readFileSync(path, 'latin1'), 'one\ntwo\n');
  await sh(`truncate -s 3 ${path}`);
  assert.is(readFileSync(path, 'latin1'), 'one');
  await sh(`chmod 600 ${path}; : > ${path}`);
  assert.is(statSync(path).size, 0);
  assert.is(statSync(path).mode & 0o777, 0o600);
  assert.is((await shell.run(`head -c 70000 /dev/zero > ${path}`)).code, 1, 'EFBIG');
});

native('answers for no unlinked file of a dead owner that is still open', async () => {
  const calls = [
    'fstat(f)',
    'fchmod(f, 0o600)',
    'fstatvfs(f)',
    'truncate(f, 1)',
    'utime(f, (1, 1))',
  ];
  const line = `
import os, subprocess, sys
owner = subprocess.Popen(['sleep', '1000'])
path = sys.argv[1] + '/' + str(owner.pid)
os.mkdir(path)
f = os.open(path + '/made', os.O_RDWR | os.O_CREAT)
os.unlink(path + '/made')
os.fstat(f)
owner.kill()
owner.wait()
for call in sys.argv[2:]:
    try: print('answered', call, eval('os.' + call))
    except OSError as error: print(error.errno in (2, 116))`;
  const answers = await python(line, daemon.path, ...calls);
  assert.equal(answers.split('\n'), ['True', 'True', 'True', 'True', 'True']);
});

native('returns attributes of 300 bytes, where fuse-native itself has room for 128', async () => {
  const path = await directory('0700');
  const filter = `SUBSYSTEM==${'x'.repeat(300)}`;
  await sh(`setfattr -n user.eventfs.filter -v '${filter}' ${path}`);
  assert.is(readFileSync(`${path}/.filter`, 'latin1'), `${filter}\n`);
  assert.is(
    await python(
      'import os,sys; print(os.getxattr(sys.argv[1], "user.eventfs.filter").decode())',
      path,
    ),
    filter,
  );
  assert.equal(
    JSON.parse(
      await python(
        'import os,sys,json; print(json.dumps(sorted(os.listxattr(sys.argv[1]))))',
        path,
      ),
    ),
    ['user.eventfs.filter', 'user.eventfs.lost', 'user.eventfs.owner', 'user.eventfs.pending'],
  );
  assert.match((await shell.run(`getfattr -n user.none ${path}`)).out, /No such attribute/);
  assert.match((await shell.run(`setfattr -n user.none -v 1 ${path}`)).out, /not supported/);
});

native('keeps only sticky directories when their owner dies', async () => {
  const owner = new Shell();
  const [stays, goes] = [`${daemon.path}/${owner.pid}.stays`, `${daemon.path}/${owner.pid}.goes`];
  assert.is(
    (await owner.run(`mkdir ${stays} ${goes} && setfattr -n user.eventfs_sticky ${stays}`)).code,
    0,
  );
  await owner.kill();
  assert.is(reach(stays), 'ok');
  assert.is(reach(goes), 'ENOENT');
  await sh(`setfattr -x user.eventfs_sticky ${stays}`);
  assert.is(reach(stays), 'ENOENT');
});

native(
  'shows number, links, owner, mode and times of the root, before and after changes',
  async () => {
    const { path } = daemon;
    const before = statSync(path);
    assert.equal(
      [before.ino, before.mode, before.uid, before.gid, before.size, before.blocks],
      [1, 0o41777, 0, 0, 0, 0],
    );
    const own = await directory();
    const with1 = statSync(path);
    assert.is(with1.nlink, before.nlink + 1);
    assert.ok(with1.mtimeMs > before.mtimeMs && with1.ctimeMs > before.ctimeMs);
    await sh(
      `rmdir ${own}; chmod 1755 ${path}; chown 1:2 ${path}; touch -d '2001-01-01 UTC' ${path}`,
    );
    const { nlink, mode, uid, gid, atimeMs, mtimeMs, ctimeMs } = statSync(path);
    assert.equal(
      [nlink, mode, uid, gid, atimeMs, mtimeMs],
      [before.nlink, 0o41755, 1, 2, Date.UTC(2001, 0, 1), Date.UTC(2001, 0, 1)],
    );
    assert.ok(ctimeMs > with1.ctimeMs);
    await sh(`chmod 1777 ${path}; chown 0:0 ${path}`);
  },
);

native('has FIFOs and symlinks that vanish with the owner', async () => {
  const owner = new Shell();
  const path = `${daemon.path}/${owner.pid}`;
  await owner.run(
    `mkdir ${path} && mkfifo ${path}/fifo && ln -s fifo ${path}/link && (echo through > ${path}/fifo &)`,
  );
  assert.is(await sh(`cat ${path}/link`), 'through\n');
  assert.is(readlinkSync(`${path}/link`), 'fifo');
  await owner.kill();
  for (const name of ['fifo', 'link']) assert.is(reach(`${path}/${name}`), 'ENOENT');
});

native('links a published event into every queue', async () => {
  const [one, other] = [await directory(), await directory()];
  publish(daemon.path, eventText('/devices/published', { SUBSYSTEM: 'mine' }));
  assert.is(readFileSync(`${one}/head`, 'latin1'), readFileSync(`${other}/head`, 'latin1'));
  assert.is(statSync(`${one}/head`).nlink >= 3, true, 'log/ has a link too');
  assert.throws(() => publish(daemon.path, 'no event'), /EINVAL/);
});

native('refuses every name but a PID with EPERM, and logs the reason', async () => {
  assert.match((await shell.run(`mkdir ${daemon.path}/name`)).out, /not permitted/);
  await until(
    () => /mkdir: EPERM: the name name has no PID/.test(daemon.log()),
    'the log has no reason',
  );
  assert.match((await shell.run(`mkdir ${daemon.path}/4194305`)).out, /No such process/);
  const path = await directory();
  assert.match((await shell.run(`mkdir ${path}/below`)).out, /not permitted/);
  assert.match((await shell.run(`ln -s anything ${daemon.path}/symlink`)).out, /not permitted/);
});

native('makes each directory belong to the user of its owner, with mode 0700', async () => {
  const nobody = new Shell([...AS_NOBODY, 'bash']);
  const root = `${daemon.path}/${shell.pid}.trap`;
  assert.is((await nobody.run(`umask 0; mkdir ${root}`)).code, 0);
  assert.is(statSync(root).uid, 0);
  assert.is(statSync(root).mode & 0o7777, 0o700);
  for (const attempt of [
    `ls ${root}`,
    `touch ${root}/x`,
    `chmod 777 ${root}`,
    `rmdir ${root}`,
    `setfattr -n user.eventfs_sticky ${root}`,
  ]) {
    assert.is.not((await nobody.run(attempt)).code, 0, attempt);
  }
  const own = `${daemon.path}/${nobody.pid}`;
  assert.is((await nobody.run(`mkdir ${own} && touch ${own}/event && chmod 755 ${own}`)).code, 0);
  assert.is(statSync(own).uid, NOBODY);
  assert.is(statSync(`${own}/event`).uid, NOBODY);
  await nobody.kill();
  assert.is(reach(own), 'ENOENT');
  await sh(`rmdir ${root}`);
});

native('refuses to change the attributes of a directory that other users may write', async () => {
  const path = await directory('0777');
  assert.match((await shell.run(`setfattr -n user.eventfs_sticky ${path}`)).out, /not permitted/);
  await sh(
    `chmod 755 ${path} && setfattr -n user.eventfs_sticky ${path} && setfattr -x user.eventfs_sticky ${path}`,
  );
});

native.run();
