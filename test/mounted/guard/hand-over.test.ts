/**
 * What two daemons share while one hands the mount over to the other: sockets, the descriptors of
 * the guardian, the memory of the state. A hand-over that fails changes nothing of it.
 */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { Actor } from '../../support/clients/actor.js';
import { Reader, eventText, killClients } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { OWN_MOUNTS, enter } from '../../support/mount/apart.js';
import {
  type Daemon,
  hasSaid,
  isMounted,
  mountPoint,
  run,
  startDaemon,
  until,
  within,
} from '../../support/mount/daemon.js';
import { isDead, childrenOf, stateOf } from '../../support/processes.js';
import { sideBySide, suite } from '../../support/runner/suite.js';
import { cleanUp, eventfs, prepare } from '../lifecycle/common.js';
import {
  DIE,
  DIST,
  InstalledVersion,
  daemonPid,
  inGuardian,
  killDaemon,
  replacing,
  shortDeadline,
  statusOf,
} from './common.js';

/** How long a version waits in the phase that a test looks at, in milliseconds. */
const PHASE_MS = 1000;

/** These tests wait for most of their time, and each has a version of its own. */
const handOver = sideBySide(suite('a hand-over'), 3);
const scratch = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'hand-over-'));
let serial = 0;
handOver.before(prepare);
handOver.after(async () => {
  await killClients();
  rmSync(scratch, { recursive: true });
  await cleanUp();
});

/** A version that can wait in the phase that a test looks at. */
class PhasedVersion extends InstalledVersion {
  /** The version makes this file when it has come to its phase. */
  readonly #reached = `${this.script}.reached`;

  /** The code by which the version says that it has come to its phase. */
  get reaches(): string {
    return `(await import('node:fs')).writeFileSync('${this.#reached}', '');`;
  }

  /** Waits until the version has come to its phase. */
  async phase(): Promise<void> {
    await until(() => existsSync(this.#reached), 'the version did not come to its phase', 15_000);
  }
}

async function start(
  args: readonly string[] = [],
  begin = '',
): Promise<{ guarded: Daemon; version: PhasedVersion }> {
  const version = new PhasedVersion();
  version.install(begin);
  const all = ['--guard', ...(args.includes('--source') ? [] : ['--source', 'none']), ...args];
  const guarded = await startDaemon(all, undefined, { eventfs: version.command });
  return { guarded, version };
}

const wait = (ms: number): string => `await new Promise((done) => setTimeout(done, ${ms}));`;
/** A daemon that reacts to no QUIT: its guardian is dead before it sends one. */
const WITHOUT_QUIT = inGuardian(
  'allowReplacement',
  `function (parts) {
    let count = 0;
    before.call(this, { ...parts, resume: parts.resume, quit: () => count++ > 0 && parts.quit() });
  }`,
);

function subscriber(socket: string): Reader {
  return new Reader(socket, [compiled('subscriber'), '\n']);
}

async function gets(reader: Reader, path: string): Promise<void> {
  const devpath = `/handed/${++serial}`;
  await until(
    async () => {
      await run(['tee', `${path}/publish`], { input: eventText(devpath, { DEVPATH: devpath }) });
      return reader.text.includes(devpath);
    },
    () => `the subscriber did not get ${devpath}: ${reader.err}`,
  );
}

// First, because it takes longest.
handOver(
  'ignores the answer of a stopped daemon to an earlier reload',
  async () => {
    // It takes long to resume after the reload that has failed
    const slow = replacing(
      'daemon/daemon.js',
      'Daemon',
      'resume',
      `function () {
      if (this.count = (this.count ?? 0) + 1, this.count > 1)
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${PHASE_MS});
      before.call(this);
    }`,
    );
    const deadline = ['--guard-deadline', String(await shortDeadline())];
    const { guarded, version } = await start(['--source', 'kernel', ...deadline], slow);
    const { path } = guarded;
    const owner = new Actor();
    const own = `${path}/${owner.pid}`;
    assert.match(await owner.ask(`mkdir ${own}`), /^ok/);
    writeFileSync(`${own}/.filter`, 'SYNTH_ARG_HANDED==1\n'); // many others may come meanwhile
    const old = await daemonPid(path);
    version.install('');
    process.kill(old, 'SIGSTOP');
    const { code, err } = await eventfs('reload', path);
    assert.is(code, 1);
    assert.match(err, /the old daemon did not stop between two requests in time/);
    version.install(
      inGuardian(
        'taken',
        `async function () {
        const isTaken = before.call(this); // it has said that it is warm
        ${version.reaches}
        return isTaken;
      }`,
      ),
    );
    const second = eventfs('reload', path);
    const early = second.then((end) => assert.unreachable(`the reload ended: ${end.err}`));
    await Promise.race([version.phase(), early]);
    // The message has woken the guardian. Once it sleeps again, it has asked the old daemon to
    // yield.
    await until(() => stateOf(guarded.pid) === 'S', 'the guardian does not sleep');
    const synthetic = `${process.pid.toString(16).padStart(8, '0')}-0000-4000-8000-000000000000`;
    appendFileSync('/sys/class/mem/null/uevent', `add ${synthetic} HANDED=1`);
    process.kill(old, 'SIGCONT');
    assert.is((await second).code, 0);
    const isThere = (name: string): boolean =>
      readFileSync(`${own}/${name}`, 'latin1').includes('\nSYNTH_ARG_HANDED=1\n');
    await until(() => readdirSync(own).some(isThere), 'the uevent is lost');
    await owner.kill();
    assert.is(await guarded.stop(), 0);
  },
  60_000,
);

handOver('is possible with each outlet', async () => {
  const path = mountPoint();
  const version = new InstalledVersion();
  const under = ['unshare', '--net', '--mount', 'sh', '-ec', `${OWN_MOUNTS}; exec "$@"`, 'sh'];
  const args = ['--guard', '--source', 'kernel', '--udev'];
  const guarded = await startDaemon(args, path, { under, eventfs: version.command });
  const control = `/proc/${guarded.pid}/root/run/udev/control`;
  const inode = statSync(control).ino;
  const command = [...enter(guarded.pid), ...version.command, 'reload', path];
  const { code, err } = await run(command);
  assert.is(err, '');
  assert.is(code, 0);
  assert.is(statSync(control).ino, inode);
  assert.is(await guarded.stop(), 0);
});

handOver('that fails leaves the sockets of the daemon that goes on as they are', async () => {
  const socket = join(scratch, 'first');
  const fifodir = mkdtempSync(join(scratch, 'fifodir-'));
  const { guarded } = await start(['--socket', socket, '--fifodir', fifodir]);
  const { path } = guarded;
  const inode = statSync(socket).ino;
  rmSync(fifodir, { recursive: true });
  const { code, err } = await eventfs('reload', path);
  assert.is(code, 1);
  assert.match(err, /the old daemon goes on: .*fifodir-.*No such file or directory/);
  assert.is(statSync(socket).ino, inode);
  await gets(subscriber(socket), path);
  // After a death no daemon would go on without the new one
  await killDaemon(path);
  await hasSaid(guarded, /fifodir-.*the daemon goes on without this outlet/);
  assert.is(statSync(socket).ino, inode);
  await gets(subscriber(socket), path);
  assert.is(await guarded.stop(), 0);
  assert.not(existsSync(socket));
});

handOver('that fails late has accepted no client and dropped no descriptor', async () => {
  const socket = join(scratch, 'second');
  const { guarded, version } = await start(['--socket', socket]);
  const { path } = guarded;
  const made = statSync(socket).ctimeMs; // another file may get the same inode
  const kept = `socket-${createHash('sha256').update(socket).digest('hex').slice(0, 12)}`;
  version.install(
    inGuardian(
      'ready', // it has opened its outlets
      `async function () { this.drop('${kept}'); ${version.reaches} ${wait(PHASE_MS)} ${DIE} }`,
    ),
  );
  const reloading = eventfs('reload', path);
  await version.phase();
  const client = subscriber(socket);
  assert.is((await reloading).code, 1);
  await gets(client, path);
  version.install('');
  await killDaemon(path);
  assert.is(statSync(socket).ctimeMs, made);
  assert.is(await guarded.stop(), 0);
});

handOver('does not void the state of the daemon that goes on', async () => {
  const { guarded, version } = await start();
  const { path } = guarded;
  const [owner, second] = [new Actor(), new Actor()];
  for (const actor of [owner, second])
    assert.match(await actor.ask(`mkdir ${path}/${actor.pid}`), /^ok/);
  // The new daemon has no memory to record the death of an owner
  version.install(
    inGuardian(
      'taken',
      `async function () {
        await before.call(this);
        const { StateLayout } = await import('${DIST}/state/layout.js');
        const { open } = StateLayout;
        StateLayout.open = (memory) => open.call(StateLayout, { ...memory, reserve: () => false });
        ${version.reaches} ${wait(PHASE_MS)}
      }`,
    ),
  );
  const reloading = eventfs('reload', path);
  await version.phase();
  await owner.kill();
  // The guardian finds the refusal and the death of the new daemon at the same time
  guarded.process.kill('SIGSTOP');
  await until(() => childrenOf(guarded.pid).some(isDead), 'the new daemon does not end');
  guarded.process.kill('SIGCONT');
  const { code, err } = await reloading;
  assert.is(code, 1);
  assert.match(err, /the state can't be taken over: the machine has no memory left for it/);
  version.install('');
  await killDaemon(path);
  assert.ok(existsSync(`${path}/${second.pid}`));
  assert.not(existsSync(`${path}/${owner.pid}`));
  await second.kill();
  assert.is(await guarded.stop(), 0);
});

/** Kills the guardian, and checks that one daemon goes on. */
async function endGuardian(guarded: Daemon, going: number, ending: number): Promise<void> {
  const { path } = guarded;
  guarded.process.kill('SIGKILL');
  await until(() => isDead(ending), 'two daemons serve', 10_000);
  assert.is(await daemonPid(path), going);
  assert.is(await statusOf(path, 'GUARDED'), 'lost');
  assert.is((await eventfs('umount', path)).code, 0);
  await until(() => isDead(going), 'the daemon did not end');
  assert.not(isMounted(path));
}

handOver('leaves one daemon if the guardian is killed before QUIT', async () => {
  const { guarded, version } = await start([], WITHOUT_QUIT);
  const old = await daemonPid(guarded.path);
  version.install('');
  assert.is((await eventfs('reload', guarded.path)).code, 0);
  const next = await daemonPid(guarded.path);
  assert.not(isDead(old));
  await endGuardian(guarded, next, old);
});

handOver(
  'leaves the old daemon if the new one has not begun when the guardian is killed',
  async () => {
    const { guarded, version } = await start([], WITHOUT_QUIT);
    const old = await daemonPid(guarded.path);
    version.install(
      inGuardian(
        'ready',
        `async function () { await before.call(this); ${version.reaches} ${wait(PHASE_MS)} }`,
      ),
    );
    assert.is((await eventfs('reload', guarded.path)).code, 0);
    await version.phase();
    const next = childrenOf(guarded.pid).find((pid) => pid !== old)!;
    await endGuardian(guarded, old, next);
  },
);

handOver('follows no unmount that has begun', async () => {
  const { guarded, version } = await start(
    [],
    inGuardian(
      'drop',
      `function (name) { before.call(this, name); if (name === 'fuse') { ${DIE} } }`,
    ),
  );
  version.install('');
  process.kill(await daemonPid(guarded.path), 'SIGTERM');
  assert.is(await within(10_000, guarded.ended, 'the guardian did not end'), 137);
  assert.not(isMounted(guarded.path));
});

handOver.run();
