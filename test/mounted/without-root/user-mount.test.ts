/** `eventfs mount` as an ordinary user, by fusermount3. */
import * as assert from 'uvu/assert';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import {
  type Daemon,
  Shell,
  isMounted,
  killDaemons,
  makeUevent,
  mountPoint,
  run,
  until,
  within,
  hasSaid,
} from '../../support/mount/daemon.js';
import { AS_NOBODY, asUser as commandAs } from '../../support/mount/other-user.js';
import { EVENTFS_NODE } from '../../support/project.js';
import { missingRing, withRing } from '../../support/mount/transport.js';
import { skip, suite } from '../../support/runner/suite.js';
import { MISSING, asUser, findings, ownMountPoint, seenIn, sh, startAsUser } from './common.js';

/** An id of no user: another one than root and than the user who mounts. */
const STRANGER = 12_345;

const own = suite('a mount of an ordinary user');
const shells: Shell[] = [];
own.before(() => assert.is(MISSING, null));
own.after(async () => {
  for (const shell of shells) shell.process.kill('SIGKILL');
  await killDaemons();
});

function shellOf(command: readonly string[]): Shell {
  const shell = new Shell(command);
  shells.push(shell);
  return shell;
}

own("is made by fusermount3, has the kernel's events, and ends by SIGTERM", async () => {
  const daemon = await startAsUser(['--source', 'kernel', '--fsname', 'a,b']);
  const line = readFileSync('/proc/self/mountinfo', 'latin1')
    .split('\n')
    .find((each) => each.includes(` ${daemon.path} `));
  assert.match(line!, / - fuse\.eventfs a,b rw,user_id=65534,group_id=65534,default_permissions$/);
  const shell = shellOf([...AS_NOBODY, 'bash']);
  assert.equal(await shell.run(`mkdir ${daemon.path}/$$`), { out: '', code: 0 });
  await makeUevent('change');
  const head = `until grep -qs ^change@/devices/virtual/mem/null ${daemon.path}/${shell.pid}/*; do sleep 0.02; done`;
  await sh(`timeout 10 sh -c '${head}'`);
  const status = await sh(`cat ${daemon.path}/log/.status`);
  assert.match(status, /^KERNEL_FORGED=0$/m);
  assert.match(await sh(`ls -ld ${daemon.path} ${daemon.path}/publish`), /^(.* nobody .*\n){2}$/);
  await shell.kill();
  assert.equal(await run([...AS_NOBODY, 'ls', `${daemon.path}/${shell.pid}`]), {
    out: '',
    err: `ls: cannot access '${daemon.path}/${shell.pid}': No such file or directory\n`,
    code: 2,
  });
  assert.is(await daemon.stop(), 0);
  assert.not(isMounted(daemon.path));
  await hasSaid(
    daemon,
    /^eventfs: mount: \S+: other users, root included, can't use this mount \(root can add user_allow_other to \/etc\/fuse.conf\)(; the socket for the kernel's events holds [^\n]*)? \(docs\/without-root.md\)\n$/,
  );
});

own('serves emit, watch, status and doctor of the user, and nobody else', async () => {
  const daemon = await startAsUser(['--source', 'none']);
  const { path } = daemon;
  const shell = shellOf([...AS_NOBODY, 'bash']);
  await shell.run(`mkdir ${path}/$$`);
  const words = ['ACTION=change', 'DEVPATH=/mine', 'SUBSYSTEM=mine'];
  assert.equal(await asUser('emit', '--mount', path, ...words), { out: '', err: '', code: 0 });
  assert.match(await sh(`cat ${path}/${shell.pid}/head`), /^change@\/mine\n/);
  assert.match((await asUser('status', '--mount', path)).out, `${shell.pid}`);
  const found = await findings(path);
  assert.equal(
    found.filter(({ level }) => level === 'fail'),
    [],
  );
  const text = found.map(({ what }) => what).join('\n');
  assert.match(text, 'you may mount on a directory of your own, by /usr/bin/fusermount3');
  assert.match(text, 'mounted without allow_other');

  const kept = `${path}: another user has mounted it, and it keeps other users out`;
  const status = await run([...EVENTFS_NODE, 'status', '--mount', path]);
  assert.is(status.err, `eventfs: status: ${kept} (run this as that user)\n`);
  const doctor = await run([...EVENTFS_NODE, 'doctor', '--mount', path]);
  assert.match(doctor.out, `warn  ${kept}\n`);
  // Root can't ask this daemon to stop, but ends its connection
  const umount = await run([...EVENTFS_NODE, 'umount', path]);
  assert.equal(umount, { out: '', err: '', code: 0 });
  assert.is(await within(20_000, daemon.ended, 'the daemon did not end'), 0);
});

own('is unmounted by eventfs umount, also if its daemon is killed or does not answer', async () => {
  const first = await startAsUser(['--source', 'none']);
  assert.equal(await asUser('umount', first.path), { out: '', err: '', code: 0 });
  assert.is(await within(20_000, first.ended, 'the daemon did not end'), 0);

  const killed = await startAsUser(['--source', 'none'], {}, first.path);
  await killed.kill();
  const next = await startAsUser(['--source', 'none'], {}, first.path);
  await hasSaid(next, 'detached the mount of a killed daemon');
  await next.kill();
  assert.equal(await asUser('umount', first.path), { out: '', err: '', code: 0 });
  assert.not(isMounted(first.path));

  const stopped = await startAsUser(['--source', 'none'], {}, first.path);
  const cat = run([...AS_NOBODY, 'cat', `${stopped.path}/stream`]);
  const isBlocked = `grep -q '^READS=1$' ${stopped.path}/log/.status`;
  await until(async () => (await run([...AS_NOBODY, 'sh', '-c', isBlocked])).code === 0, 'no read');
  process.kill(stopped.pid, 'SIGSTOP');
  try {
    assert.equal(await asUser('umount', first.path), { out: '', err: '', code: 0 });
    assert.not(isMounted(first.path));
    assert.is((await within(20_000, cat, 'cat did not end')).code, 1);
  } finally {
    process.kill(stopped.pid, 'SIGCONT');
  }
  assert.is(await within(20_000, stopped.ended, 'the daemon did not end'), 0);
});

own('raises inotify events in directories of the user, in the root and in log/', async () => {
  const daemon = await startAsUser(['--source', 'none']);
  const { path } = daemon;
  const owner = shellOf([...AS_NOBODY, 'bash']);
  await owner.run(`mkdir ${path}/$$`);
  const watcher = shellOf([...AS_NOBODY, 'bash']);
  const log = `${ownMountPoint()}/events`;
  await watcher.run(
    `inotifywait -m -e create,delete --format '%w%f' ${path} ${path}/log ${path}/${owner.pid} >${log} 2>${log}.err & until grep -qs established ${log}.err; do sleep 0.02; done`,
  );
  await asUser('emit', '--mount', path, 'ACTION=change', 'DEVPATH=/mine', 'SUBSYSTEM=mine');
  const seen = (): string[] => readFileSync(log, 'latin1').split('\n').sort();
  await until(() => seen().length === 3, 'the two files were not announced');
  await owner.kill();
  await until(() => seen().length === 4, 'the death was not announced');
  const expected = ['', `${path}/${owner.pid}`, `${path}/${owner.pid}/0.1`, `${path}/log/0.1`];
  assert.equal(seen(), expected.sort());
  await watcher.run('kill $!');
  assert.is(await daemon.stop(), 0);
});

/** Starts a daemon where /etc/fuse.conf has a text and a mode. */
async function startWith(text: string, mode: number): Promise<Daemon> {
  const conf = `${mountPoint()}/fuse.conf`;
  writeFileSync(conf, text, { mode });
  const change = `mount --bind ${conf} /etc/fuse.conf; exec "$@"`;
  const under = ['unshare', '-m', 'sh', '-ec', change, 'sh', ...AS_NOBODY];
  return startAsUser(['--source', 'none'], { under });
}

own('is for its user alone if that user may not read /etc/fuse.conf', async () => {
  const daemon = await startWith('# nothing\n', 0o600);
  await hasSaid(daemon, "can't use this mount");
  assert.is(await daemon.stop(), 0);
});

own('is open to other users if /etc/fuse.conf permits it, and their deaths are seen', async () => {
  const daemon = await startWith('# theirs\n  user_allow_other # yes\n', 0o644);
  assert.not.match(daemon.log(), "can't use this mount");
  await hasSaid(daemon, 'inotify reports no events in directories of other users');
  const enter = ['nsenter', `--mount=/proc/${daemon.pid}/ns/mnt`];
  const stranger = shellOf([...enter, ...commandAs(STRANGER), 'bash']);
  const { out } = await stranger.run(
    `cd ${daemon.path}; sleep 1000 & mkdir $$ $!; stat -c %u $$ $!; echo $!`,
  );
  const [uid, uidOfNamed, named] = out.trim().split('\n');
  assert.equal([uid, uidOfNamed], [`${STRANGER}`, `${STRANGER}`], out);
  for (const pid of [Number(named), stranger.pid]) {
    assert.ok(existsSync(`${seenIn(daemon)}/${pid}`));
    process.kill(pid, 'SIGKILL');
    await until(() => !existsSync(`/proc/${pid}/fd/0`), 'the process did not end');
    assert.not(existsSync(`${seenIn(daemon)}/${pid}`));
  }
  // A process of another user may not be signalled, so it can't be an owner
  const taken = await run([...enter, ...AS_NOBODY, 'mkdir', `${daemon.path}/${process.pid}`]);
  assert.match(taken.err, 'Operation not permitted');
});

own('gets its requests through io_uring, where the kernel offers it', async () => {
  await withRing(async () => {
    const why = missingRing();
    if (why !== null) skip(why);
    const daemon = await startAsUser(['--source', 'none', '--transport', 'io-uring']);
    assert.match(await sh(`cat ${daemon.path}/log/.status`), /^TRANSPORT=io-uring$/m);
    assert.is(await daemon.stop(), 0);
    assert.not(isMounted(daemon.path));
  });
});

own('ends by SIGTERM with fuse-native too', async () => {
  const daemon = await startAsUser(['--source', 'none', '--driver', 'fuse-native']);
  const shell = shellOf([...AS_NOBODY, 'bash']);
  assert.equal(await shell.run(`mkdir ${daemon.path}/$$ && ls -d ${daemon.path}/$$`), {
    out: `${daemon.path}/${shell.pid}\n`,
    code: 0,
  });
  assert.is(await daemon.stop(), 0, daemon.log());
  assert.not(isMounted(daemon.path));
  assert.not.match(daemon.log(), 'not permitted');
});

own.run();
