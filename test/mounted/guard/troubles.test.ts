/** The guardian and its daemons in trouble: wrong files, full pipes, and daemons that hang. */
import { execFileSync, spawn } from 'node:child_process';
import {
  chownSync,
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import * as assert from 'uvu/assert';
import { controlDirectories, controlFiles, isOwn } from '../../../fs/guard/control-files.js';
import { cleanUp, eventfs, prepare } from '../lifecycle/common.js';
import { configured } from '../../support/mount/config.js';
import {
  EVENTFS_NODE,
  EVENTFS_SCRIPT,
  type Daemon,
  Shell,
  isMounted,
  mountPoint,
  run,
  startDaemon,
  until,
  within,
} from '../../support/mount/daemon.js';
import { Actor, reach } from '../../support/clients/actor.js';
import { Fault } from '../../support/clients/fault.js';
import { preload } from '../../support/project.js';
import { sideBySide, suite } from '../../support/runner/suite.js';
import {
  InstalledVersion,
  Reader,
  daemonPid,
  killDaemon,
  startGuarded,
  statusOf,
} from './common.js';

/** These tests wait for most of their time, and each has a mount of its own. */
const troubles = sideBySide(suite('the guardian in trouble'), 3);
troubles.before(prepare);
troubles.after(cleanUp);

/** Starts a guarded mount whose settings are in a file, and returns the file's path too. */
async function startConfigured(text: string): Promise<[Daemon, string]> {
  const args = configured(text);
  return [await startGuarded(args), args[args.indexOf('--config') + 1]];
}

troubles('a death can not fail a call while the kernel copies its data', async () => {
  const guarded = await startGuarded();
  const { path } = guarded;
  const shell = new Shell();
  await shell.run(`mkdir ${path}/$$`);
  const event = `add@/devices/x\nPAD=${'x'.repeat(60_000)}\n`;
  for (let n = 0; n < 20; n++) writeFileSync(`${path}/publish`, event);
  // The kernel answers EIO by itself if a killed daemon's memory has no page for the copy.
  const fault = await Fault.watchMemory(await killDaemon(path), '/dev/fuse');
  assert.is((await shell.run(`cat ${path}/$$/[0-9]* | wc -c`)).out, `${20 * event.length}\n`);
  const write = ['dd', `of=${path}/publish`, 'bs=128K', 'iflag=fullblock', 'status=none'];
  assert.equal(await run(write, { input: event }), { out: '', err: '', code: 0 });
  const { calls, matching } = await fault.end();
  assert.ok(calls > 50, `${calls} calls`);
  assert.is(matching, 0);
  await shell.kill();
  assert.is(await guarded.stop(), 0);
});

troubles('a death changes no setting, whatever the file has become', async () => {
  const [guarded, file] = await startConfigured('[queue]\nevents = 77\n');
  const { path } = guarded;
  const shell = new Shell();
  await shell.run(`mkdir ${path}/$$`);
  const most = async (): Promise<string> =>
    (await shell.run(`cat ${path}/$$/.status`)).out.match(/^MOST_EVENTS=(.*)$/m)?.[1] ?? '';
  assert.is(await most(), '77');
  writeFileSync(file, 'driver = "fuse-native"\n[queue]\nevents = 78\n');
  await killDaemon(path);
  await until(async () => (await most()) === '78', 'the bounds are not those of the file');
  assert.match(guarded.log(), / driver: only the next mount applies this change\n/);
  writeFileSync(file, 'no settings at all\n');
  await killDaemon(path);
  await until(() => guarded.log().includes('(the old settings stay)'), 'the file is not refused');
  assert.is(await most(), '78');
  const { code, err } = await eventfs('reload', path);
  assert.is(code, 1);
  assert.match(err, /: the old daemon goes on: .*configured-.*\.toml:1: /);
  rmSync(file);
  await killDaemon(path);
  assert.is(await most(), '78');
  await shell.kill();
  assert.is(await guarded.stop(), 0);
});

troubles('goes on while the reader of its messages has stopped', async () => {
  const path = mountPoint();
  const args = ['mount', '--guard', '--guard-limit', '1:60', '--source', 'none', path];
  // A FIFO: of a socket, as Node makes it, no process can fill the other end.
  const fifo = `${path}.fifo`;
  execFileSync('mkfifo', [fifo]);
  const filling = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
  const messages = openSync(fifo, constants.O_WRONLY);
  const guarded = spawn(process.execPath, [EVENTFS_SCRIPT, ...args], {
    stdio: ['ignore', 'ignore', messages],
  });
  const ended = new Promise((done) => guarded.once('exit', done));
  await until(() => isMounted(path), 'it is not mounted');
  await until(async () => (await daemonPid(path)) > 0, 'it is not served');
  assert.throws(() => {
    for (;;) writeSync(filling, Buffer.alloc(4096));
  }, /EAGAIN/);
  process.kill(await daemonPid(path), 'SIGKILL');
  assert.is(await within(20_000, ended, 'the guardian did not end'), 1);
  assert.not(isMounted(path));
  for (const fd of [filling, messages]) closeSync(fd);
  rmSync(fifo);
});

troubles('kills a daemon that does not stop in time', async () => {
  const guarded = await startGuarded(['--guard-deadline', '1']);
  const { path } = guarded;
  process.kill(await daemonPid(path), 'SIGSTOP');
  guarded.process.kill('SIGTERM');
  assert.is(await within(20_000, guarded.ended, 'the guardian did not end'), 137);
  assert.not(isMounted(path));
});

/** Returns the processes of which a process holds a pidfd: proc_pid_fdinfo(5). */
function pidfdsOf(pid: number): Set<number> {
  const infos = readdirSync(`/proc/${pid}/fdinfo`).map((fd) =>
    readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'),
  );
  return new Set(
    infos.map((info) => Number(/^Pid:\t(\d+)$/m.exec(info)?.[1] ?? NaN)).filter((held) => held > 0),
  );
}

troubles(
  'serves while the guardian is stopped, which learns later what it has to hold',
  async () => {
    // Each owner is a message to the guardian: the kernel has no handles
    const eventfsBefore = [
      process.execPath,
      '--import',
      preload('no-pidfd-handles'),
      EVENTFS_SCRIPT,
    ];
    const guarded = await startGuarded([], undefined, { eventfs: eventfsBefore });
    const { path } = guarded;
    const [owner, other] = [new Shell(), new Shell()];
    guarded.process.kill('SIGSTOP');
    const often = `for n in $(seq 45); do mkdir ${path}/$$.x; rmdir ${path}/$$.x; done`;
    const tookMs: number[] = [];
    for (let n = 0; n < 4; n++) {
      const begin = performance.now();
      assert.is((await owner.run(often)).code, 0);
      tookMs.push(performance.now() - begin);
    }
    // The last of them find no room, and must not take longer for it.
    const last = tookMs.pop()!;
    assert.ok(
      last < 1000 + 2 * tookMs.reduce((sum, ms) => sum + ms),
      `${last} after ${tookMs.join(' ')}`,
    );
    for (const shell of [owner, other]) await shell.run(`mkdir ${path}/$$`);
    await other.kill();
    assert.is(reach(`${path}/${other.pid}`), 'ENOENT');
    guarded.process.kill('SIGCONT');
    // The guardian reads its messages in order: once it holds this owner, it has read the others.
    const late = new Shell();
    await late.run(`mkdir ${path}/$$`);
    const both = new Set([owner.pid, late.pid]);
    await until(
      () => isDeepStrictEqual(pidfdsOf(guarded.pid), both),
      'the guardian does not hold the owners',
    );
    await killDaemon(path);
    assert.is(reach(`${path}/${owner.pid}`), 'ok');
    assert.is(reach(`${path}/${other.pid}`), 'ENOENT');
    for (const shell of [owner, late]) await shell.kill();
    assert.is(reach(`${path}/${owner.pid}`), 'ENOENT');
    assert.is(await guarded.stop(), 0);
  },
);

troubles('owners leave room for the descriptors of the next daemon', async () => {
  const guarded = await startGuarded(['--log-level', 'info', ...configured('')], undefined, {
    under: ['prlimit', '--nofile=128:128'],
  });
  const { path } = guarded;
  const observer = new Actor();
  const owners: number[] = [];
  let answer: string;
  while ((answer = await observer.ask(`forkmkdir 0 ${path}/%`)).startsWith('ok '))
    owners.push(Number(answer.slice(3)));
  assert.is(answer, 'ENFILE');
  assert.ok(owners.length > 40, `${owners.length} owners`);
  for (let n = 0; n < 2; n++) {
    await killDaemon(path);
    assert.equal([...new Set(owners.map((pid) => reach(`${path}/${pid}`)))], ['ok']);
  }
  // It reads its configuration in a process of its own, through pipes.
  guarded.process.kill('SIGHUP');
  await until(
    () => guarded.log().includes('configuration read again'),
    () => guarded.log(),
  );
  assert.not.match(guarded.log(), 'EMFILE');
  await observer.kill();
  for (const pid of owners) process.kill(pid, 'SIGKILL');
  assert.is(await guarded.stop(), 0);
});

troubles('forwards SIGHUP and SIGUSR1 to a daemon once it serves', async () => {
  const guarded = await startGuarded(['--log-level', 'info', ...configured('')]);
  const { path } = guarded;
  process.kill(await daemonPid(path), 'SIGKILL');
  for (let n = 0; n < 30; n++) {
    guarded.process.kill(n % 2 === 0 ? 'SIGHUP' : 'SIGUSR1');
    await sleep(10);
  }
  await until(() => guarded.log().includes('configuration read again'), 'SIGHUP is lost');
  await until(() => guarded.log().includes('SIGUSR1: the daemon traces'), 'SIGUSR1 is lost');
  assert.is(await statusOf(path, 'RESTARTS'), '1');
  assert.is(await guarded.stop(), 0);
});

troubles('a death goes by without effect while an update replaces the files', async () => {
  const version = new InstalledVersion();
  const args = ['--guard-limit', '10:10', '--source', 'none', '--guard'];
  const guarded = await startDaemon(args, undefined, { eventfs: version.command });
  const { path } = guarded;
  const reader = await Reader.blocked(path);
  const away = `${version.script}.away`;
  const before = await daemonPid(path);
  renameSync(version.script, away);
  process.kill(before, 'SIGKILL');
  const failures = (): number => guarded.log().split('Cannot find module').length - 1;
  await until(() => failures() >= 3, 'no daemon has tried to start', 10_000);
  // Ten attempts at once would have ended the mount in a second
  await sleep(1500);
  assert.ok(failures() < 8, guarded.log());
  renameSync(away, version.script);
  await reader.getsNext(path);
  assert.is.not(await daemonPid(path), before);
  assert.is(await guarded.stop(), 0);
  version.remove();
});

troubles('no reload comes after its user has given up', async () => {
  const guarded = await startGuarded();
  const { path } = guarded;
  guarded.process.kill('SIGSTOP');
  const reloading = spawn(EVENTFS_NODE[0], [...EVENTFS_NODE.slice(1), 'reload', path]);
  const ended = new Promise((done) => reloading.once('exit', done));
  const { socket } = controlFiles(path, controlDirectories().find(isOwn)!);
  // ss(8) and /proc/net/unix show no message that waits: the client waits too by then
  const isConnected = (): boolean =>
    readFileSync('/proc/net/unix', 'utf8').split(socket).length - 1 > 1;
  await until(isConnected, 'the client does not connect', 10_000);
  await sleep(500);
  reloading.kill('SIGKILL');
  await ended;
  guarded.process.kill('SIGCONT');
  await sleep(1500);
  assert.is(await statusOf(path, 'RELOADS'), '0');
  assert.is((await eventfs('reload', path)).code, 0);
  assert.is(await statusOf(path, 'RELOADS'), '1');
  assert.is(await guarded.stop(), 0);
});

troubles('tries a standby that can not start less and less often', async () => {
  const args = configured('');
  const guarded = await startGuarded(['--standby', ...args]);
  writeFileSync(args[args.indexOf('--config') + 1], 'no settings at all\n');
  const tries = (): number => guarded.log().split(': no standby can start: ').length - 1;
  await until(() => tries() === 2, 'there is no second try', 10_000);
  await sleep(1700);
  assert.is(tries(), 2);
  writeFileSync(args[args.indexOf('--config') + 1], '');
  guarded.process.kill('SIGHUP');
  await until(async () => (await statusOf(guarded.path, 'STANDBY')) === '1', 'no standby', 10_000);
  assert.is(await guarded.stop(), 0);
});

troubles('bounds all that users hold by what the state has room for', async () => {
  const guarded = await startGuarded(
    configured('[limits]\nbytes = "64 GiB"\nmemory = "64 GiB"\nevents = 7\n'),
  );
  const keys = ['MOST_BYTES', 'MOST_MEMORY', 'MOST_EVENTS'];
  const found = await Promise.all(keys.map((key) => statusOf(guarded.path, key)));
  assert.equal(found, [String(2 ** 29), String(2 ** 29), '7']);
  assert.is(await guarded.stop(), 0);
});

troubles('clients that say nothing delay a reload by two seconds each at most', async () => {
  const guarded = await startGuarded();
  const silent = `import socket, sys
clients = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
for client in clients: client.connect(sys.argv[1])
print(flush=True)
sys.stdin.read()`;
  const { socket } = controlFiles(guarded.path, controlDirectories().find(isOwn)!);
  const child = spawn('python3', ['-c', silent, socket], { stdio: ['pipe', 'pipe', 'inherit'] });
  await new Promise((done) => child.stdout.once('data', done));
  const { code, err } = await within(20_000, eventfs('reload', guarded.path), 'it hangs');
  assert.equal([code, err], [0, '']);
  child.stdin.end();
  assert.is(await guarded.stop(), 0);
});

troubles('a reload trusts only directories of its user', async () => {
  const path = mountPoint();
  const runtime = mkdtempSync('/tmp/e-'); // the path of a socket is short
  const directory = join(runtime, 'eventfs');
  const { socket } = controlFiles(path, directory);
  mkdirSync(directory);
  chownSync(directory, 12_345, 12_345); // another user has made it
  const listen = `import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(sys.argv[1])
s.listen()
print(flush=True)
s.accept()[0].send(b'RELOADED \\x1b[2J')`;
  const impostor = spawn('python3', ['-c', listen, socket], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((done) => impostor.stdout.once('data', done));
  const env = { ...process.env, XDG_RUNTIME_DIR: runtime };
  const { code, out } = await run([...EVENTFS_NODE, 'reload', path], { env });
  impostor.kill();
  rmSync(runtime, { recursive: true });
  assert.is(out, '');
  assert.is(code, 102);
});

troubles.run();
