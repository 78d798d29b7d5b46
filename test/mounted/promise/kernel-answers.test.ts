/**
 * System calls on a dead owner's files: those that the kernel passes on to the daemon, and those
 * that it answers itself (docs/promise.md has the reasons). Each works before the death.
 */
import * as assert from 'uvu/assert';
import { mkdirSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Actor, untilAlone } from '../../support/clients/actor.js';
import { type Daemon, killDaemons, startDaemon } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';

const SIGKILL = 9;

const answers = suite("a dead owner's descriptor");
let daemon: Daemon;
let observer: Actor;

answers.before(async () => {
  daemon = await startDaemon();
  observer = new Actor();
});
answers.after(async () => {
  await Actor.endAll();
  await daemon.stop();
  await killDaemons();
  await untilAlone();
});

interface Held {
  readonly owner: number;
  readonly path: string;
  /** A descriptor of an event, open for reading and writing. */
  readonly file: number;
  readonly stream: number;
  readonly directory: number;
  /** An O_PATH descriptor of the directory. */
  readonly name: number;
}

async function hold(): Promise<Held> {
  const owner = await observer.get(`forkmkdir 0 ${daemon.path}/%`);
  const path = `${daemon.path}/${owner}`;
  assert.is(await observer.ask(`create ${path}/event 10`), 'ok 10');
  return {
    owner,
    path,
    file: await observer.get(`openrw ${path}/event`),
    stream: await observer.get(`opennb ${path}/.stream`),
    directory: await observer.get(`opendir ${path}`),
    name: await observer.get(`openpath ${path}`),
  };
}

async function end(pid: number): Promise<void> {
  assert.is(await observer.ask(`signal ${pid} ${SIGKILL}`), 'ok');
  assert.is(await observer.ask(`wait ${pid}`), 'ok');
}

answers('returns ESTALE to fsync, fdatasync and fstatfs, of files and directories', async () => {
  // After one ENOSYS the kernel would send no further FSYNC: the second round would return 0.
  for (let round = 0; round < 2; round++) {
    const held = await hold();
    const commands = [
      `fsync ${held.file}`,
      `fdatasync ${held.file}`,
      `fsync ${held.directory}`,
      `fdatasync ${held.directory}`,
      `fstatfs ${held.file}`,
      `fstatfs ${held.stream}`,
      `fstatfs ${held.directory}`,
      `fstatfs ${held.name}`,
    ];
    for (const command of commands) assert.is(await observer.ask(command), 'ok', command);
    await end(held.owner);
    for (const command of commands) assert.is(await observer.ask(command), 'ESTALE', command);
  }
});

answers('returns ESTALE or ENOENT to fsync, fdatasync and fstatfs with fuse-native', async () => {
  const other = await startDaemon(['--source', 'none', '--driver', 'fuse-native']);
  for (let round = 0; round < 2; round++) {
    const owner = await observer.get(`forkmkdir 0 ${other.path}/%`);
    assert.is(await observer.ask(`create ${other.path}/${owner}/event 10`), 'ok 10');
    const file = await observer.get(`openrw ${other.path}/${owner}/event`);
    const directory = await observer.get(`opendir ${other.path}/${owner}`);
    const commands = [
      `fsync ${file}`,
      `fdatasync ${file}`,
      `fsync ${directory}`,
      `fstatfs ${file}`,
      `fstatfs ${directory}`,
    ];
    for (const command of commands) assert.is(await observer.ask(command), 'ok', command);
    await end(owner);
    for (const command of commands)
      assert.match(await observer.ask(command), /^(ESTALE|ENOENT)$/, command);
    for (const fd of [file, directory]) assert.is(await observer.ask(`close ${fd}`), 'ok');
  }
  await other.stop();
  rmdirSync(other.path);
});

answers('has no file handle (name_to_handle_at) that could outlive it', async () => {
  const held = await hold();
  for (const fd of [held.file, held.directory, held.name])
    assert.is(await observer.ask(`handle ${fd}`), 'ENOTSUP');
  assert.is(
    await observer.ask(`handle ${await observer.get(`opendir ${daemon.path}`)}`),
    'ENOTSUP',
  );
  await end(held.owner);
});

answers('shows nothing from after the death where the kernel answers by itself', async () => {
  const held = await hold();
  assert.is(await observer.ask(`statx ${held.file}`), 'ok 10');
  assert.is(await observer.ask(`seek ${held.file}`), 'ok 0');
  assert.is(await observer.ask(`flock ${held.file}`), 'ok');
  assert.is(await observer.ask(`fionread ${held.file}`), 'ok 10');
  await end(held.owner);
  // These are the attributes that the kernel got before the death.
  assert.is(await observer.ask(`statx ${held.file}`), 'ok 10');
  assert.is(await observer.ask(`seek ${held.file}`), 'ok 0');
  assert.is(await observer.ask(`flock ${held.file}`), 'ok');
  assert.is(await observer.ask(`fionread ${held.file}`), 'ok 10');
  assert.is(await observer.ask(`identify ${held.file}`), 'ok');
  // The kernel reports no error of readahead(2), and has put nothing into its page cache.
  assert.is(await observer.ask(`readahead ${held.file}`), 'ok');
  assert.is(await observer.ask(`map ${held.file}`), 'ok');
  assert.is(await observer.ask('peek'), 'EFAULT');
  assert.is(await observer.ask(`pread ${held.file}`), 'ESTALE');
});

answers('of O_PATH returns ESTALE when it is reopened or bind-mounted', async () => {
  const held = await hold();
  const target = join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), `bind-${process.pid}`);
  mkdirSync(target, { recursive: true });
  const [before, after] = [new Actor(), new Actor()];
  const directoryOf = (actor: Actor): Promise<number> => actor.get(`openpath ${held.path}`);
  for (const actor of [before, after]) assert.is(await actor.ask('private'), 'ok');
  assert.is(await before.ask(`bind ${await directoryOf(before)} ${target}`), 'ok');
  const late = await directoryOf(after);
  await end(held.owner);
  // ENOENT once the notifier has removed the ghost.
  assert.match(await after.ask(`bind ${late} ${target}`), /^(ESTALE|ENOENT)$/);
  assert.is(await observer.ask(`openat ${held.name} event`), 'ESTALE');
  assert.is(await observer.ask(`opendir /proc/${observer.pid}/fd/${held.name}`), 'ESTALE');
  await before.kill();
  await after.kill();
  rmdirSync(target);
});

answers.run();
