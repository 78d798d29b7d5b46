/**
 * A user changes a configured path so that it leads into the mount, or to a mount whose daemon does
 * not answer. No daemon that clients wait for follows it.
 */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { Reader, eventText, killClients } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
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
import { childrenNamed, childrenOf, waitsForReply } from '../../support/processes.js';
import { Container } from '../../support/mount/container.js';
import { withPreload } from '../../support/project.js';
import { sideBySide, suite } from '../../support/runner/suite.js';
import { CONNECTIONS, cleanUp, eventfs, prepare } from '../lifecycle/common.js';
import { daemonPid, shortDeadline, startGuarded, statusOf, untilStandby } from './common.js';

/** Clients must be served long before the guardian kills a daemon that hangs, which is in 30 s. */
const SOON_MS = 15_000;
const TIMEOUT_MS = 60_000;

/** These tests wait for most of their time, and each has mounts of its own. */
const hostile = sideBySide(suite('a path that a user changes'), 4);
const scratch = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'hostile-'));
hostile.before(prepare);
hostile.after(async () => {
  await killClients();
  await cleanUp();
  rmSync(scratch, { recursive: true });
});

/** The mounts of a test. */
class Mounts {
  readonly #started: { daemon: Daemon; abort: string }[] = [];

  async noted(starting: Promise<Daemon>): Promise<Daemon> {
    const daemon = await starting;
    const device = execFileSync('mountpoint', ['--fs-devno', daemon.path], { encoding: 'utf8' });
    const abort = `${CONNECTIONS}/${device.trim().split(':')[1]}/abort`;
    this.#started.push({ daemon, abort });
    return daemon;
  }

  /**
   * Starts a mount whose daemon does not answer. A signal ends those that wait for it: it has taken
   * no request, as it would have with io_uring. Returns a file in it.
   */
  async deadFile(): Promise<string> {
    const other = await this.noted(startDaemon(['--source', 'none', '--transport', 'read']));
    other.process.kill('SIGSTOP');
    return join(other.path, 'log');
  }

  /** Ends the connection of a mount: each call in it fails. */
  async abort(daemon: Daemon): Promise<void> {
    const { abort } = this.#started.find((started) => started.daemon === daemon)!;
    await run(['sh', '-c', `echo 1 > ${abort}`], { timeoutMs: 2000 });
  }

  async end(): Promise<void> {
    for (const { daemon } of this.#started) {
      if (daemon.process.exitCode !== null) continue;
      // A daemon that waits for its own mount does not end before the connection does
      await this.abort(daemon);
      daemon.process.kill('SIGKILL');
      await run(['umount', '-l', daemon.path], { timeoutMs: 2000 });
    }
  }
}

/** Adds a test. However it ends, none of its mounts hangs. */
function attack(name: string, body: (mounts: Mounts) => Promise<void>): void {
  const run = async (): Promise<void> => {
    const mounts = new Mounts();
    await body(mounts).finally(() => mounts.end());
  };
  hostile(name, run, TIMEOUT_MS);
}

/** Makes a directory of an ordinary user. */
function userDirectory(): string {
  const path = mkdtempSync(join(scratch, 'user-'));
  execFileSync('chown', ['1000', path]);
  return path;
}

/** Moves a file away, and puts a symlink in its place. */
function replaceByLink(path: string, target: string): void {
  renameSync(path, `${path}.moved`);
  symlinkSync(target, path);
}

/** Checks that the mount answers soon. */
async function answersSoon(path: string, timeoutMs = SOON_MS): Promise<void> {
  const { code, err } = await run(['stat', `${path}/nosuch`], { timeoutMs });
  assert.is(code, 1, `no answer in time: ${err}`);
}

/** Kills the daemon, and checks that clients are served again long before the deadline. */
async function isServedAfterDeath(guarded: Daemon): Promise<void> {
  const { path } = guarded;
  process.kill(await daemonPid(path), 'SIGKILL');
  await answersSoon(path);
  assert.is(await statusOf(path, 'RESTARTS'), '1', guarded.log());
}

async function publish(path: string, text: string): Promise<void> {
  assert.is((await run(['tee', `${path}/publish`], { input: text, timeoutMs: SOON_MS })).code, 0);
}

/** Connects a client to a socket of the mount, and waits until it has an event. */
async function subscriberHears(place: string, path: string): Promise<void> {
  const client = new Reader(place, [compiled('subscriber'), '\n']);
  await until(
    async () => {
      await publish(path, eventText('/devices/socket', { DEVPATH: '/devices/socket' }));
      return client.text.includes('/devices/socket');
    },
    () => `the subscriber got nothing: ${client.err}`,
  );
}

// First those that take longest.

/** How often a daemon has given up on its configuration file. */
const refusals = (daemon: Daemon): number =>
  daemon.log().split('could not be read within 5 s').length - 1;

/** Has the daemon read its file there, and checks that clients are served until it gives up. */
async function refusesTo(guarded: Daemon, file: string, target: string): Promise<void> {
  const { path } = guarded;
  const before = refusals(guarded);
  rmSync(file, { force: true });
  symlinkSync(target, file);
  process.kill(await daemonPid(path), 'SIGHUP');
  const end = Date.now() + 20_000;
  while (refusals(guarded) === before) {
    assert.ok(Date.now() < end, `the daemon did not refuse the file: ${guarded.log()}`);
    await answersSoon(path);
  }
}

for (const [place, targetIn] of [
  ['its own mount', async ({ path }: Daemon) => Promise.resolve(`${path}/stream`)],
  ['a dead mount', async (_: Daemon, mounts: Mounts) => mounts.deadFile()],
] as const) {
  attack(
    `delays no client if SIGHUP makes the daemon read its configuration in ${place}`,
    async (mounts) => {
      const file = join(userDirectory(), 'eventfs.toml');
      writeFileSync(file, '');
      const guarded = await mounts.noted(startGuarded(['--config', file]));
      const { path } = guarded;
      const target = await targetIn(guarded, mounts);
      await refusesTo(guarded, file, target);
      // A signal during a read counts: the file may be another one by now
      const daemon = await daemonPid(path);
      const earlier = childrenNamed(daemon, 'node');
      process.kill(daemon, 'SIGHUP');
      await until(
        () =>
          childrenNamed(daemon, 'node').some((pid) => !earlier.includes(pid) && waitsForReply(pid)),
        'no process reads the file',
      );
      rmSync(file);
      writeFileSync(file, 'list_links = true\n');
      process.kill(await daemonPid(path), 'SIGHUP');
      await hasSaid(guarded, /configuration read again/);
      assert.is(refusals(guarded), 2);
      rmSync(file);
      symlinkSync(target, file);
      await isServedAfterDeath(guarded);
      assert.match((await run(['ls', path], { timeoutMs: SOON_MS })).out, /^stream$/m);
      await until(
        () => refusals(guarded) === 3,
        'the daemon does not say that it could not read the file',
      );
      await answersSoon(path);
      assert.is(await guarded.stop(), 0);
    },
  );
}

attack('does not stop a restart or the outlet, if it is that of a fifodir', async (mounts) => {
  const fifodir = join(userDirectory(), 'fd');
  mkdirSync(fifodir);
  const guarded = await mounts.noted(startGuarded(['--fifodir', fifodir]));
  const { path } = guarded;
  replaceByLink(fifodir, `${path}/log`);
  execFileSync('mkfifo', [`${fifodir}.moved/ftrig1:x`]);
  const fifo = openSync(`${fifodir}.moved/ftrig1:x`, constants.O_RDONLY | constants.O_NONBLOCK);
  await isServedAfterDeath(guarded);
  await publish(path, eventText('/devices/x', {}, 'change'));
  const got = Buffer.alloc(1);
  await until(() => {
    try {
      return readSync(fifo, got) === 1;
    } catch {
      return false; // EAGAIN
    }
  }, 'the FIFO got nothing');
  closeSync(fifo);
  assert.is(got.toString(), 'c');
  assert.is(await guarded.stop(), 0);
});

attack('does not stop a restart or the outlet, if it is that of a socket', async (mounts) => {
  const directory = join(userDirectory(), 'sub');
  mkdirSync(directory);
  const guarded = await mounts.noted(startGuarded(['--socket', join(directory, 's')]));
  const { path } = guarded;
  replaceByLink(directory, `${path}/log`);
  await isServedAfterDeath(guarded);
  const moved = join(`${directory}.moved`, 's');
  await subscriberHears(moved, path);
  assert.ok(lstatSync(moved).isSocket());
  assert.is(await guarded.stop(), 0);
  assert.not(existsSync(moved), 'the file of the socket stays');
});

attack('does not stop a restart, if it is that of the mount point', async (mounts) => {
  const directory = join(userDirectory(), 'sub');
  mkdirSync(join(directory, 'm'), { recursive: true });
  const guarded = await mounts.noted(startGuarded([], join(directory, 'm')));
  const moved = join(`${directory}.moved`, 'm');
  replaceByLink(directory, `${moved}/log`);
  await isServedAfterDeath({ ...guarded, path: moved });
  assert.is(await guarded.stop(), 0);
  assert.not(isMounted(moved));
});

attack(
  'leaves out a fifodir that was removed, until a reload opens the new one',
  async (mounts) => {
    const fifodir = join(userDirectory(), 'fd');
    mkdirSync(fifodir);
    const guarded = await mounts.noted(startGuarded(['--fifodir', fifodir]));
    const { path } = guarded;
    rmSync(fifodir, { recursive: true });
    symlinkSync(`${path}/log`, fifodir);
    await isServedAfterDeath(guarded);
    await hasSaid(guarded, /fd: the directory was removed; the daemon goes on without this outlet/);
    rmSync(fifodir);
    mkdirSync(fifodir);
    assert.equal((await eventfs('reload', path)).code, 0);
    assert.is(await statusOf(path, 'FIFODIR_WRITES'), '0');
    process.kill(await daemonPid(path), 'SIGKILL');
    assert.is(await statusOf(path, 'FIFODIR_WRITES'), '0');
    assert.is(await guarded.stop(), 0);
  },
);

/**
 * Checks that clients are served during a reload whose new daemon hangs, long before the guardian
 * kills that one, and that the reload fails.
 */
async function reloadFailsInTime(path: string, deadlineS: number): Promise<void> {
  const reloading = eventfs('reload', path);
  let isOver = false;
  void reloading.finally(() => (isOver = true));
  for (let count = 0; !isOver; count++) {
    await answersSoon(path, (deadlineS * 1000) / 2);
    if (count > 10_000) assert.unreachable('the reload did not end');
  }
  const { code, err } = await reloading;
  assert.is(code, 1);
  assert.match(err, /the old daemon goes on: the new daemon did not start in time/);
}

attack('makes a reload fail while the old daemon serves', async (mounts) => {
  const fifodir = join(userDirectory(), 'fd');
  mkdirSync(fifodir);
  const deadlineS = await shortDeadline();
  const args = ['--guard-deadline', String(deadlineS), '--fifodir', fifodir];
  const guarded = await mounts.noted(startGuarded(args));
  const { path } = guarded;
  replaceByLink(fifodir, `${path}/log`);
  const into = await eventfs('reload', path);
  assert.is(into.code, 1);
  assert.match(into.err, /the old daemon goes on: .*fd: the directory is on a FUSE mount/);
  rmSync(fifodir);
  symlinkSync(await mounts.deadFile(), fifodir);
  await reloadFailsInTime(path, deadlineS);
  assert.is(await guarded.stop(), 0);
});

for (const [outlet, line] of [
  ['socket', (directory: string) => `socket = "${directory}/at-mknod"`],
  ['network namespace', (directory: string) => `netns = ["${directory}/at-lookup"]`],
] as const)
  attack(`makes a reload fail, and nothing else, as a new ${outlet}`, async (mounts) => {
    const file = join(userDirectory(), 'eventfs.toml');
    writeFileSync(file, '');
    const deadlineS = await shortDeadline();
    const bound = ['--guard', '--guard-deadline', String(deadlineS), '--guard-limit', '1:60'];
    const args = [...bound, '--source', 'kernel', '--config', file];
    const guarded = await mounts.noted(startDaemon(args));
    const eventfs = withPreload('stops-at-names');
    const other = await mounts.noted(startDaemon(['--source', 'none'], mountPoint(), { eventfs }));
    const directory = `${other.path}/${process.pid}.own`;
    mkdirSync(directory);
    writeFileSync(file, `${line(directory)}\n`);
    const { path } = guarded;
    await reloadFailsInTime(path, deadlineS);
    // No signal ends the new daemon now, and the guardian gives up nevertheless
    process.kill(await daemonPid(path), 'SIGKILL');
    await until(() => guarded.process.exitCode === 1, 'the guardian does not end');
    assert.not(isMounted(path));
    await mounts.abort(other);
    await guarded.ended;
  });

attack('is that of a socket which a reload binds, and removes if it fails', async (mounts) => {
  const directory = userDirectory();
  const [file, place] = [join(directory, 'eventfs.toml'), join(directory, 's')];
  writeFileSync(file, '');
  const guarded = await mounts.noted(startGuarded(['--config', file]));
  const { path } = guarded;
  writeFileSync(file, `socket = "${place}"\nfifodir = "${directory}/none"\n`);
  assert.match((await eventfs('reload', path)).err, /the old daemon goes on: .*none: No such file/);
  assert.not(existsSync(place), 'the file of the socket stays');
  writeFileSync(file, `socket = "${place}"\n`);
  for (let n = 0; n < 2; n++) {
    assert.is((await eventfs('reload', path)).err, '');
    await subscriberHears(place, path);
  }
  assert.is(await guarded.stop(), 0);
  assert.not(existsSync(place), 'the file of the socket stays');
});

attack(
  'does not stop a daemon, a restart or the outlet, as a network namespace',
  async (mounts) => {
    const [one, two] = [await Container.start(), await Container.start()];
    const link = join(userDirectory(), 'link');
    symlinkSync(one.network, link);
    const directory = join(userDirectory(), 'sub');
    mkdirSync(directory);
    const moved = join(`${directory}.moved`, 'box');
    writeFileSync(join(directory, 'box'), '');
    execFileSync('mount', ['--bind', two.network, join(directory, 'box')]);
    const places = ['--netns', link, '--netns', join(directory, 'box')];
    const args = ['--guard', '--source', 'kernel', ...places];
    const guarded = await mounts.noted(startDaemon(args));
    const { path } = guarded;
    replaceByLink(link, `${path}/log/link`);
    replaceByLink(directory, `${path}/log`);
    writeFileSync(join(`${directory}.moved`, 'new'), ''); // the daemon looks at its namespace again
    await answersSoon(path);
    await isServedAfterDeath(guarded);
    assert.is(await statusOf(path, 'NETNS_OPEN'), '2');
    execFileSync('umount', [moved]);
    rmSync(moved);
    await one.kill();
    const isOpen = async (): Promise<string | undefined> => statusOf(path, 'NETNS_OPEN');
    await until(async () => (await isOpen()) === '0', 'an end was not noticed');
    process.kill(await daemonPid(path), 'SIGKILL');
    await answersSoon(path);
    await hasSaid(guarded, /box: No such file.*; the daemon goes on without this outlet/);
    assert.is(await isOpen(), '0');
    await two.kill();
    assert.is(await guarded.stop(), 0);
  },
);

attack(
  'does not stop a restart, if a standby hangs there while the daemon dies',
  async (mounts) => {
    const fifodir = join(userDirectory(), 'fd');
    mkdirSync(fifodir);
    const guarded = await mounts.noted(startGuarded(['--standby', '--fifodir', fifodir]));
    const { path, pid } = guarded;
    await untilStandby(path);
    const serving = await daemonPid(path);
    replaceByLink(fifodir, await mounts.deadFile());
    guarded.process.kill('SIGHUP'); // the standby starts anew
    await until(
      () => childrenOf(pid).some((of) => of !== serving && waitsForReply(of)),
      'no standby hangs',
    );
    await isServedAfterDeath(guarded);
    assert.is(await guarded.stop(), 0);
  },
);

attack(
  'does not keep a daemon from its end, if it reads its configuration there',
  async (mounts) => {
    const file = join(userDirectory(), 'eventfs.toml');
    writeFileSync(file, '');
    const daemon = await mounts.noted(startDaemon(['--source', 'none', '--config', file]));
    rmSync(file);
    symlinkSync(await mounts.deadFile(), file);
    daemon.process.kill('SIGHUP');
    await answersSoon(daemon.path);
    assert.is(await within(SOON_MS, daemon.stop(), 'the daemon did not end'), 0);
  },
);
hostile.run();
