/** Hard links, rename, special files, sticky directories and their attributes. */
import * as assert from 'uvu/assert';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { statusOf } from '../../support/clients/clients.js';
import { type Daemon, Shell, run, startDaemon, until, within } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';

const links = suite('a hard link');
/** So many files take the daemon more than one turn to free. */
const FILES = 4000;
let daemon: Daemon;
let shells: Shell[] = [];

/** Starts two shells with a directory each. */
async function two(): Promise<[Shell, string, Shell, string]> {
  const [a, b] = [new Shell(), new Shell()];
  shells.push(a, b);
  const [dirA, dirB] = [`${daemon.path}/${a.pid}`, `${daemon.path}/${b.pid}`];
  await a.run(`mkdir ${dirA}`);
  await b.run(`mkdir ${dirB}`);
  return [a, dirA, b, dirB];
}

/** Runs a shell command, which must exit with `code`. @returns its stdout and stderr */
async function sh(command: string, code = 0): Promise<string> {
  const result = await run(['bash', '-c', command]);
  assert.is(result.code, code, `${command}: ${result.out}${result.err}`);
  return result.out + result.err;
}

links.before(async () => {
  daemon = await startDaemon(['--source', 'none', '--sticky', 'global:1733']);
});
links.after(async () => {
  for (const shell of shells)
    if (shell.process.exitCode === null && shell.process.signalCode === null) await shell.kill();
  shells = [];
  assert.is(await daemon.stop(), 0);
  assert.is(daemon.log(), '');
});

links('shows the same inode number, link count and bytes in both queues', async () => {
  const [, a, , b] = await two();
  await sh(`echo hello > ${a}/e && ln ${a}/e ${b}/f`);
  const [inA, inB] = [statSync(`${a}/e`), statSync(`${b}/f`)];
  assert.is(inA.ino, inB.ino);
  assert.is(inA.nlink, 2);
  assert.is(inB.nlink, 2);
  assert.is(readFileSync(`${b}/f`, 'utf8'), 'hello\n');
  await sh(`rm ${a}/e`);
  assert.is(statSync(`${b}/f`).nlink, 1);
  assert.is(readFileSync(`${b}/f`, 'utf8'), 'hello\n');
});

links("reaches a blocked reader when the first queue's owner dies", async () => {
  const [shellA, a, , b] = await two();
  // A child keeps the file open for writing, and the daemon frees the files in later turns: the
  // requests of the notifier that follow a death come before
  await shellA.run(`for n in {1..${FILES}}; do : > ${a}/$n; done`, 20_000);
  const { out } = await shellA.run(
    `exec 3> ${a}/e; echo mine@/x >&3; ln ${a}/e ${b}/e; sleep 1000 & exec 3>&-; echo $!`,
  );
  const reader = run(['dd', `if=${b}/.stream`, 'bs=4096', 'count=1', 'status=none']);
  await until(() => statusOf(`${daemon.path}/log`).PARKED === '1', 'the reader does not block');
  await shellA.kill();
  try {
    assert.is((await within(20_000, reader, 'the reader was not woken')).out, 'mine@/x\n\n');
  } finally {
    process.kill(Number(out), 'SIGKILL');
  }
});

links("outlives the first queue's owner, whose own link vanishes", async () => {
  const [shellA, a, , b] = await two();
  await sh(`echo hello > ${a}/e && ln ${a}/e ${b}/e`);
  await shellA.kill();
  assert.throws(() => statSync(`${a}/e`), /ENOENT/);
  assert.is(statSync(`${b}/e`).nlink, 1);
  assert.is(readFileSync(`${b}/e`, 'utf8'), 'hello\n');
});

links('can be made of an event in log/, which counts as a link', async () => {
  const [, a] = await two();
  await sh(`printf 'change@/links\\nA=1\\n' | dd of=${daemon.path}/publish status=none`);
  const name = readdirSync(`${daemon.path}/log`).at(-1)!;
  await sh(`rm -f ${a}/*; ln ${daemon.path}/log/${name} ${a}/mine`);
  assert.match(readFileSync(`${a}/mine`, 'utf8'), 'change@/links\n');
  assert.is(statSync(`${a}/mine`).ino, statSync(`${daemon.path}/log/${name}`).ino);
});

links('is refused if the name is taken or reserved, or the directory is not a queue', async () => {
  const [, a, , b] = await two();
  await sh(`echo 1 > ${a}/e; echo 2 > ${b}/e`);
  assert.match(await sh(`ln ${a}/e ${b}/e`, 1), 'File exists');
  assert.match(await sh(`ln ${a}/e ${b}/.extra/x`, 1), 'No such file');
  assert.match(await sh(`ln ${a}/e ${daemon.path}/x`, 1), 'not permitted');
  assert.match(await sh(`ln ${a}/e ${daemon.path}/log/x`, 1), 'not permitted');
  await sh(`rm ${b}/e`);
  assert.match(await sh(`ln ${a}/e ${b}/tail`, 1), 'File exists');
});

links.run();

const rename = suite('rename');
rename.before(async () => {
  daemon = await startDaemon();
});
rename.after(async () => {
  for (const shell of shells)
    if (shell.process.exitCode === null && shell.process.signalCode === null) await shell.kill();
  shells = [];
  assert.is(await daemon.stop(), 0);
  assert.is(daemon.log(), '');
});

rename('within a directory keeps the event in its place', async () => {
  const [, a] = await two();
  await sh(`cd ${a} && echo 1 > one && echo 2 > two && echo 3 > three && mv one uno`);
  assert.is(await sh(`ls -f ${a} | grep -v '^\\.'`), 'uno\ntwo\nthree\n');
  assert.is(await sh(`readlink ${a}/head`), 'uno\n');
  assert.is(await sh(`cat ${a}/head`), '1\n');
});

rename('into another directory moves the event to its end', async () => {
  const [, a, , b] = await two();
  await sh(`echo 1 > ${a}/one; echo 2 > ${b}/two; mv ${a}/one ${b}/last`);
  assert.is(await sh(`ls -f ${b} | grep -v '^\\.'`), 'two\nlast\n');
  assert.is(await sh(`ls ${a}`), '');
  assert.is(statSync(`${b}/last`).nlink, 1);
  assert.is(await sh(`cat ${b}/tail`), '1\n');
});

rename('over another event takes its name, and with -n leaves both', async () => {
  const [, a] = await two();
  await sh(`cd ${a}; echo 1 > one; echo 2 > two; mv -n one two; mv one two`);
  assert.is(await sh(`ls ${a}`), 'two\n');
  assert.is(await sh(`cat ${a}/two`), '1\n');
});

rename(
  'moves an open file along; it ends with the owner of the directory that it moved to',
  async () => {
    const [shellA, a, shellB, b] = await two();
    // Not bash: it fails if a descriptor is stale while it reads its commands from a pipe.
    const reader = new Shell(['sh']);
    shells.push(reader);
    await sh(`echo 1 > ${a}/one`);
    await reader.run(`exec 5< ${a}/one`);
    await sh(`mv ${a}/one ${b}/one`);
    await shellA.kill();
    assert.is((await reader.run('cat <&5')).out, '1\n');
    await shellB.kill();
    assert.match((await reader.run('cat <&5 2>&1')).out, 'Stale file handle');
  },
);

rename('is refused for head, tail, the dot files and process directories', async () => {
  const [, a, , b] = await two();
  await sh(`echo 1 > ${a}/one`);
  for (const name of ['head', 'tail', '.filter', '.stream', '.status'])
    await sh(`mv ${a}/${name} ${a}/other`, 1);
  await sh(`mv ${a}/one ${a}/head`, 1);
  await sh(`mv -T ${a} ${daemon.path}/elsewhere`, 1);
  await sh(`mv ${a}/one ${daemon.path}/`, 1);
  assert.is(await sh(`ls ${a}`), 'one\n');
  await sh(`ls ${b}`);
});

rename.run();

const special = suite('a FIFO or socket');
special.before(async () => {
  daemon = await startDaemon();
});
special.after(async () => {
  for (const shell of shells)
    if (shell.process.exitCode === null && shell.process.signalCode === null) await shell.kill();
  shells = [];
  assert.is(await daemon.stop(), 0);
  assert.is(daemon.log(), '');
});

special('is listed, works, and is not an event', async () => {
  const [, a] = await two();
  await sh(`mkfifo -m 600 ${a}/pipe && echo e > ${a}/event`);
  assert.is(await sh(`ls ${a}`), 'event\npipe\n');
  assert.is(await sh(`find ${a} -type p -printf '%f\\n'`), 'pipe\n');
  assert.is(await sh(`readlink ${a}/head ${a}/tail`), 'event\nevent\n');
  assert.is(await sh(`(echo through > ${a}/pipe &) ; cat ${a}/pipe`), 'through\n');
  await sh(`mv ${a}/pipe ${a}/tube && chmod 622 ${a}/tube`);
  assert.is(await sh(`stat -c '%a %F' ${a}/tube`), '622 fifo\n');
  await sh(`rm ${a}/tube`);
  assert.is(await sh(`ls ${a}`), 'event\n');
});

special('may also be a symlink: listed, copied and followed as one, and not an event', async () => {
  const [, a, , b] = await two();
  await sh(
    `echo text > ${a}/event && ln -s event ${a}/link && ln -s ../$(basename ${b})/none ${a}/dangling && ln -s ${b} ${a}/there`,
  );
  assert.is(await sh(`ls ${a}`), 'dangling\nevent\nlink\nthere\n');
  assert.is(
    await sh(`find ${a} -type l -printf '%f %l %s %M\n' | sort | head -n 1`),
    `dangling ../${b.split('/').pop()}/none ${`../${b.split('/').pop()}/none`.length} lrwxrwxrwx\n`,
  );
  assert.is(await sh(`cat ${a}/link; readlink ${a}/head ${a}/tail`), 'text\nevent\nevent\n');
  assert.is(await sh(`touch ${a}/there/made && ls ${b} && rm ${b}/made`), 'made\n');
  assert.is(
    await sh(
      `cp -a ${a}/link ${b}/copied && readlink ${b}/copied && tar -C ${a} -c dangling link | tar -C ${b} -x && ls ${b}`,
    ),
    'event\ncopied\ndangling\nlink\n',
  );
  assert.is(
    await sh(
      `ln -sfn other ${a}/link && readlink ${a}/link && mv ${a}/link ${a}/moved && rm ${a}/moved ${a}/dangling ${a}/there && ls ${a}`,
    ),
    'other\nevent\n',
  );
  assert.match(await sh(`ln ${b}/copied ${b}/hard`, 1), 'not permitted');
});

special('has a link count of 0 if it is removed while it is open', async () => {
  const [, a] = await two();
  await sh(`mkfifo ${a}/pipe && ln -s target ${a}/link`);
  const script = `
import os, sys
os.chdir(sys.argv[1])
fds = [os.open("pipe", os.O_RDONLY | os.O_NONBLOCK), os.open("link", os.O_PATH | os.O_NOFOLLOW)]
print([os.fstat(fd).st_nlink for fd in fds], os.readlink("", dir_fd=fds[1]))
for name in ("pipe", "link"): os.unlink(name)
print([os.fstat(fd).st_nlink for fd in fds])
try: os.readlink("", dir_fd=fds[1])
except FileNotFoundError: print("ENOENT")
`;
  assert.is((await run(['python3', '-c', script, a])).out, '[1, 1] target\n[0, 0]\nENOENT\n');
});

special('vanishes with the owner of its directory, so that no stale socket stays', async () => {
  const [shell, a] = await two();
  const server = createServer((socket) => socket.end('hello'));
  await new Promise<void>((done) => server.listen(`${a}/ctl.sock`, done));
  assert.is(await sh(`find ${a} -type s -printf '%f\\n'`), 'ctl.sock\n');
  await shell.kill();
  assert.throws(() => statSync(`${a}/ctl.sock`), /ENOENT/);
  await new Promise<void>((done) => server.close(() => done()));
});

special('cannot be a device: EPERM', async () => {
  const [, a] = await two();
  assert.match(await sh(`mknod ${a}/null c 1 3`, 1), 'not permitted');
});

special.run();

const sticky = suite('a sticky directory');
sticky.before(async () => {
  daemon = await startDaemon(['--source', 'none', '--sticky', 'global:1733']);
});
sticky.after(async () => {
  for (const shell of shells)
    if (shell.process.exitCode === null && shell.process.signalCode === null) await shell.kill();
  shells = [];
  assert.is(await daemon.stop(), 0);
  assert.is(daemon.log(), '');
});

sticky('stays when its owner dies', async () => {
  const [shell, a] = await two();
  await sh(`setfattr -n user.eventfs_sticky ${a} && echo 1 > ${a}/e`);
  await shell.kill();
  assert.is(await sh(`cat ${a}/e`), '1\n');
  await sh(`rm -r ${a}`);
});

sticky(
  'belongs to its owner again without the attribute, and vanishes if the owner is dead',
  async () => {
    const [shellA, a, shellB, b] = await two();
    await sh(`setfattr -n user.eventfs_sticky ${a} ; setfattr -n user.eventfs_sticky ${b}`);
    await shellA.kill();
    await sh(`setfattr -x user.eventfs_sticky ${a} ; setfattr -x user.eventfs_sticky ${b}`);
    assert.throws(() => statSync(a), /ENOENT/);
    assert.ok(statSync(b).isDirectory());
    await shellB.kill();
    assert.throws(() => statSync(b), /ENOENT/);
  },
);

sticky('can be made by an option of eventfs mount', async () => {
  assert.is(await sh(`stat -c %a ${daemon.path}/global`), '1733\n');
});

sticky('shows its attributes to getfattr, and takes a filter by setfattr', async () => {
  const [shell, a] = await two();
  await sh(`setfattr -n user.eventfs.filter -v 'SUBSYSTEM==block' ${a}`);
  const all = await sh(`getfattr --absolute-names -d ${a}`);
  assert.match(all, 'user.eventfs.filter="SUBSYSTEM==block"');
  assert.match(all, `user.eventfs.owner="${shell.pid}"`);
  assert.match(all, 'user.eventfs.pending="0"');
  assert.match(await sh(`cat ${a}/.filter`), 'SUBSYSTEM==block');
  assert.match(await sh(`setfattr -n user.eventfs.lost -v 1 ${a}`, 1), 'not permitted');
  assert.match(await sh(`setfattr -n user.other -v 1 ${a}`, 1), 'not supported');
  assert.match(
    await sh(`setfattr -n user.eventfs.filter -v 'SUBSYSTEM' ${a}`, 1),
    'Invalid argument',
  );
});

sticky.run();
