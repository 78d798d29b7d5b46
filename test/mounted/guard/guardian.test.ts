/** The guardian: it holds the mount while no daemon runs, and starts the next one. */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { mountedAt } from '../../../fs/shared/kernel/mountinfo.js';
import { Actor, reach } from '../../support/clients/actor.js';
import { Fault } from '../../support/clients/fault.js';
import { sh, startAsUser } from '../without-root/common.js';
import { cleanUp, eventfs, prepare } from '../lifecycle/common.js';
import { configured } from '../../support/mount/config.js';
import {
  EVENTFS_NODE,
  Shell,
  isMounted,
  mountPoint,
  run,
  startDaemon,
  until,
  within,
  hasSaid,
} from '../../support/mount/daemon.js';
import { isDead, childrenOf, waitsForReply } from '../../support/processes.js';
import { withPreload } from '../../support/project.js';
import { sideBySide, suite } from '../../support/runner/suite.js';
import {
  InstalledVersion,
  daemonPid,
  killDaemon,
  startGuarded,
  statusOf,
  untilStandby,
} from './common.js';

const O_PATH = 0o10000000;
const { O_NOFOLLOW } = constants;

/** These tests wait for most of their time, and each has a mount of its own. */
const guardian = sideBySide(suite('the guardian'), 3);
guardian.before(prepare);
guardian.after(cleanUp);

guardian('starts the daemon again on the same mount, and ends with it', async () => {
  const guarded = await startGuarded();
  const { path } = guarded;
  const mounted = mountedAt(path)!;
  const first = await daemonPid(path);
  assert.is.not(first, guarded.pid);
  assert.is(await statusOf(path, 'TRANSPORT'), 'read');
  assert.is(await killDaemon(path), await daemonPid(path));
  await killDaemon(path, 'SIGSEGV');
  assert.is(mountedAt(path)!.id, mounted.id);
  assert.is(await statusOf(path, 'GUARDED'), 'guardian');
  assert.is(await statusOf(path, 'RESTARTS'), '2');
  assert.is(
    guarded.log(),
    [
      'eventfs: mount: the daemon was killed by signal 9 (Killed); this one goes on (restart 1)\n',
      'eventfs: mount: the daemon was killed by signal 11 (Segmentation fault); this one goes on (restart 2)\n',
    ].join(''),
  );
  assert.equal(await eventfs('umount', path), { out: '', err: '', code: 0 });
  assert.is(await within(20_000, guarded.ended, 'the guardian did not end'), 0);
  assert.not(isMounted(path));
});

guardian(
  'has daemons that log a restart in the form that their configuration asks for',
  async () => {
    const guarded = await startGuarded(configured('log_json = true\n'));
    await killDaemon(guarded.path);
    await until(() => guarded.log().endsWith('\n'), 'the restart is not logged');
    const { msg } = JSON.parse(guarded.log()) as { msg: string };
    assert.match(msg, /^the daemon was killed by signal 9 .* \(restart 1\)$/);
    assert.is(await guarded.stop(), 0);
  },
);

guardian('starts daemons without the certificates that Node would read', async () => {
  const guarded = await startGuarded([], undefined, {
    env: { NODE_EXTRA_CA_CERTS: '/nonexistent', KEPT: 'yes' },
  });
  const pid = await daemonPid(guarded.path);
  const variables = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
  assert.ok(variables.includes('KEPT=yes'));
  assert.not(variables.some((variable) => variable.startsWith('NODE_EXTRA_CA_CERTS=')));
  assert.is(await guarded.stop(), 0);
});

guardian('finds a head that the kernel knows, also while the queue is empty', async () => {
  const guarded = await startGuarded();
  const directory = `${guarded.path}/${process.pid}`;
  mkdirSync(directory);
  writeFileSync(`${directory}/file`, 'text');
  const head = openSync(`${directory}/head`, O_PATH | O_NOFOLLOW);
  assert.is(fstatSync(head).nlink, 1);
  unlinkSync(`${directory}/file`);
  assert.is(fstatSync(head).nlink, 0);
  await killDaemon(guarded.path);
  assert.is(fstatSync(head).nlink, 0);
  closeSync(head);
  rmdirSync(directory);
  assert.is(await guarded.stop(), 0);
});

guardian('keeps system calls waiting while no daemon runs', async () => {
  const guarded = await startGuarded();
  const { path } = guarded;
  const pid = await daemonPid(path);
  process.kill(pid, 'SIGSTOP');
  const client = new Actor();
  const answer = client.ask(`mkdir ${path}/${client.pid}`);
  await until(() => waitsForReply(client.pid), 'the call does not wait');
  process.kill(pid, 'SIGKILL');
  assert.match(await answer, /^ok/);
  await client.kill();
  assert.is(await guarded.stop(), 0);
});

guardian('keeps the files that a path names without an open one', async () => {
  const guarded = await startGuarded();
  const { path } = guarded;
  const client = new Actor();
  const names = ['match/ACTION==add', 'log/.status', 'stream'];
  const fds: number[] = [];
  for (const name of names) fds.push(await client.get(`openpath ${path}/${name}`));
  for (let deaths = 0; deaths < 2; deaths++) {
    await killDaemon(path);
    for (const fd of fds) {
      const opened = await client.get(`opennb /proc/self/fd/${fd}`); // no lookup comes before it
      assert.is(await client.ask(`close ${opened}`), 'ok');
    }
  }
  await client.kill();
  assert.is(await guarded.stop(), 0);
});

guardian('keeps no file open whose caller is killed before it gets the reply', async () => {
  const version = new InstalledVersion();
  const guarded = await startGuarded([], undefined, { eventfs: version.command });
  version.install('await new Promise((done) => setTimeout(done, 500));');
  const { path } = guarded;
  const client = new Actor();
  const known = await client.get(`openpath ${path}/stream`);
  const before = await statusOf(path, 'HANDLES');
  const pid = await daemonPid(path);
  // The reply to OPEN is not sent: it comes after that to GETATTR
  const fault = await Fault.fail(pid, 'write', 'ENOENT', 1, '/dev/fuse', 2);
  const answer = client.ask(`open /proc/self/fd/${known}`);
  await fault.spent();
  process.kill(pid, 'SIGKILL');
  // From RESEND on the kernel takes the request back, until the next daemon has read it
  await until(() => !existsSync(`/proc/${pid}`), 'the daemon did not end');
  await sleep(100);
  await client.kill();
  await answer;
  assert.is(await statusOf(path, 'HANDLES'), before);
  assert.is(await guarded.stop(), 0);
  version.remove();
});

guardian('forwards SIGTERM, SIGINT and SIGHUP', async () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const guarded = await startGuarded();
    const pid = await daemonPid(guarded.path);
    guarded.process.kill('SIGHUP');
    await until(() => guarded.log().includes('eventfs.toml'), 'the daemon did not read again');
    assert.is(await daemonPid(guarded.path), pid);
    guarded.process.kill(signal);
    assert.is(await within(20_000, guarded.ended, 'the guardian did not end'), 0);
    assert.not(isMounted(guarded.path));
  }
});

guardian('ends with the exit code of a daemon that can not start', async () => {
  const path = mountPoint();
  const { err, code } = await eventfs('mount', '--guard', '--source', 'none', `${path}/missing`);
  assert.is(code, 111);
  assert.match(err, /^eventfs: mount: .*\/missing: No such file or directory \(try mkdir -p .*\n$/);
  rmdirSync(path);
});

guardian('gives up and unmounts after repeated deaths', async () => {
  const guarded = await startGuarded(['--guard-limit', '2:60']);
  const { path } = guarded;
  const reader = new Actor();
  const fd = await reader.get(`open ${path}/stream`);
  await killDaemon(path);
  process.kill(await daemonPid(path), 'SIGKILL');
  assert.is(await within(20_000, guarded.ended, 'the guardian did not end'), 1);
  await hasSaid(
    guarded,
    new RegExp(
      `eventfs: mount: ${path}: the guardian gives up and unmounts: 2 daemons have ended in 60 s, the last one was killed by signal 9 \\(Killed\\)\\n$`,
    ),
  );
  assert.not(isMounted(path));
  assert.match(await reader.ask(`read ${fd}`), /ENOTCONN|ECONNABORTED|ENODEV/);
  await reader.kill();
});

guardian('is one for a mount', async () => {
  const guarded = await startGuarded();
  const { err, code } = await eventfs('mount', '--guard', '--source', 'none', guarded.path);
  assert.is(code, 1);
  assert.is(
    err,
    `eventfs: mount: ${guarded.path}: another guardian serves it (try eventfs umount ${guarded.path} first)\n`,
  );
  assert.is(await guarded.stop(), 0);
});

guardian('may die: the daemon says so and goes on, and a later start clears up', async () => {
  const guarded = await startGuarded(['--standby']);
  const { path } = guarded;
  const pid = await daemonPid(path);
  await untilStandby(path);
  const standby = childrenOf(guarded.pid).find((child) => child !== pid)!;
  process.kill(guarded.pid, 'SIGKILL');
  await until(() => isDead(standby), 'the standby did not end');
  await until(
    () => guarded.log().includes('eventfs: mount: the guardian has ended: the daemon goes on'),
    'the daemon does not say so',
  );
  assert.is(await statusOf(path, 'GUARDED'), 'lost');
  assert.is(await daemonPid(path), pid);
  process.kill(pid, 'SIGKILL');
  await until(() => isDead(pid), 'the daemon did not end');
  const next = await startGuarded([], path);
  await hasSaid(next, /detached the mount of a killed daemon/);
  assert.is(await next.stop(), 0);
});

guardian('ends when another process unmounts', async () => {
  const guarded = await startGuarded();
  await run(['umount', guarded.path]);
  assert.is(await within(20_000, guarded.ended, 'the guardian did not end'), 0);
});

guardian('ends when the connection is aborted while no daemon runs', async () => {
  const guarded = await startGuarded();
  const { path } = guarded;
  const { minor } = mountedAt(path)!;
  const pid = await daemonPid(path);
  process.kill(pid, 'SIGSTOP');
  await run(['sh', '-c', `echo 1 > /sys/fs/fuse/connections/${minor}/abort`]);
  process.kill(pid, 'SIGKILL');
  assert.is(await within(20_000, guarded.ended, 'the guardian did not end'), 0);
  assert.not(isMounted(path));
});

guardian('serves files that are still open after a lazy unmount', async () => {
  const guarded = await startGuarded();
  const { path } = guarded;
  const client = new Actor();
  await client.get(`open ${path}/stream`);
  const pid = await daemonPid(path);
  process.kill(pid, 'SIGSTOP');
  await run(['umount', '-l', path]);
  process.kill(pid, 'SIGKILL');
  await until(() => guarded.log().includes('(restart 1)'), 'there is no other daemon');
  await client.kill(); // the last user of the connection
  assert.is(await within(20_000, guarded.ended, 'the guardian did not end'), 0);
});

guardian('leaves no descriptor and no file behind', async () => {
  const guarded = await startGuarded();
  const { path } = guarded;
  const open = (): number => readdirSync(`/proc/${guarded.pid}/fd`).length;
  await killDaemon(path);
  const before = open();
  await killDaemon(path);
  await killDaemon(path);
  assert.is(open(), before);
  assert.is(await guarded.stop(), 0);
  const name = path.slice(1).replaceAll('/', '-');
  assert.equal(
    readdirSync('/run/eventfs').filter((file) => file.startsWith(name.slice(-32))),
    [],
  );
});

guardian('holds the pidfds of owners where the kernel has no handles of them', async () => {
  const eventfsBefore = withPreload('no-pidfd-handles');
  const guarded = await startGuarded([], undefined, { eventfs: eventfsBefore });
  const { path } = guarded;
  const [owner, brief] = [new Shell(), new Shell()];
  for (const shell of [owner, brief]) await shell.run(`mkdir ${path}/$$`);
  await killDaemon(path);
  assert.is(reach(`${path}/${owner.pid}`), 'ok');
  const pid = await daemonPid(path);
  process.kill(pid, 'SIGSTOP');
  await brief.kill();
  process.kill(pid, 'SIGKILL');
  assert.is(reach(`${path}/${brief.pid}`), 'ENOENT');
  assert.is(reach(`${path}/${owner.pid}`), 'ok');
  await owner.kill();
  assert.is(reach(`${path}/${owner.pid}`), 'ENOENT');
  assert.is(await guarded.stop(), 0);
});

guardian('has a protocol, and a daemon of another one does not serve', async () => {
  const path = mountPoint();
  const hello = `
import os, socket, subprocess, sys
own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
own.send(b'HELLO 2 first')
os.environ['EVENTFS_GUARD'] = str(other.fileno())
code = subprocess.call(sys.argv[1:], pass_fds=[other.fileno()])
print(code, own.recv(512).decode())`;
  const { out, err } = await run([
    'python3',
    '-c',
    hello,
    ...EVENTFS_NODE,
    'mount',
    '--guard',
    path,
  ]);
  const why =
    'the guardian has protocol 2, this daemon 1 (start the guardian again: eventfs umount, eventfs mount --guard)';
  assert.is(err, `eventfs: mount: ${why}\n`);
  assert.is(out, `1 NACK ${why}\n`);
  const alone = await run([...EVENTFS_NODE, 'mount', '--guard', path], {
    env: { ...process.env, EVENTFS_GUARD: '0' },
  });
  assert.is(alone.code, 1);
  assert.match(alone.err, /EVENTFS_GUARD=0: there is no guardian \(unset this variable\)/);
  rmdirSync(path);
});

guardian('refuses options that exclude it', async () => {
  for (const [args, why] of [
    [['--guard', '--transport', 'io-uring'], /--guard: the kernel can't give a ring/],
    [['--guard', '--driver', 'fuse-native'], /--guard: the driver fuse-native can't take/],
    [['--guard', '--fd-holder', 'systemd'], /--guard: --fd-holder holds the mount too/],
    [['--standby'], /--standby: it needs --guard/],
    [['--guard-limit', '3:3'], /--guard-limit: it needs --guard/],
    [['--guard-deadline', '5'], /--guard-deadline: it needs --guard/],
    [['--guard', '--guard-limit', '0:1'], /Use DEATHS:SECONDS/],
    [['--guard', '--guard-deadline', '0'], /Use a whole number from 1 to 3600/],
    [['--fd-holder', 's6'], /Use systemd or s6:SOCKET/],
  ] as const) {
    const { err, code } = await eventfs('mount', ...args, '/nowhere');
    assert.is(code, 100, err);
    assert.match(err, why);
  }
});

guardian('ends if its first daemon refuses an option', async () => {
  const path = mountPoint();
  for (const [args, why] of [
    [
      ['--sticky', 'publish:1777'],
      /sticky: publish: .* \(choose a name that the mount does not use/,
    ],
    [configured('log.ring_bytes = "1 MiB"\n'), /log\.ring_bytes: 1048576 is too small for --guard/],
  ] as const) {
    const { err, code } = await eventfs('mount', '--guard', '--source', 'none', ...args, path);
    assert.is(code, 100, err);
    assert.match(err, why);
    assert.not(isMounted(path));
  }
});

guardian('works for an ordinary user, and by mount(8)', async () => {
  const user = await startAsUser(['--guard', '--guard-limit', '2:60', '--source', 'none']);
  const { path } = user;
  const pidOf = async (): Promise<number> =>
    Number(/^DAEMON=(\d+)$/m.exec(await sh(`cat ${path}/log/.status`))![1]);
  const before = await pidOf();
  process.kill(before, 'SIGKILL');
  await until(async () => (await pidOf()) !== before, 'no other daemon serves');
  process.kill(await pidOf(), 'SIGKILL');
  assert.is(await within(20_000, user.ended, 'the guardian did not end'), 1);
  assert.not(isMounted(path));
  const mounted = mountPoint();
  const { code } = await eventfs('none', mounted, '-o', 'source=none,guard');
  assert.is(code, 0);
  await killDaemon(mounted);
  assert.is((await eventfs('umount', mounted)).code, 0);
});

guardian('is not there without the option', async () => {
  const daemon = await startDaemon();
  assert.is(await statusOf(daemon.path, 'GUARDED'), undefined);
  for (const [path, why] of [
    [daemon.path, /no guardian holds it, so it can't be reloaded \(eventfs umount /],
    ['/nowhere', /\/nowhere: eventfs is not mounted here \(try eventfs mount --guard \/nowhere\)/],
  ] as const) {
    const { err, code } = await eventfs('reload', path);
    assert.is(code, 102);
    assert.match(err, why);
  }
  assert.is(await daemon.stop(), 0);
});

guardian.run();
