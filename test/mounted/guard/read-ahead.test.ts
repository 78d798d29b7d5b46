/**
 * Requests that the daemon has read ahead (native/addon/device/fair_queue.h) when another daemon
 * takes over, or should. The kernel sends them again: each is carried out once.
 */
import { constants, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import * as assert from 'uvu/assert';
import { Calls, killClients } from '../../support/clients/clients.js';
import { type Daemon, isMounted, until } from '../../support/mount/daemon.js';
import { preload } from '../../support/project.js';
import { suite } from '../../support/runner/suite.js';
import { cleanUp, eventfs, prepare } from '../lifecycle/common.js';
import { InstalledVersion, daemonPid, startGuarded } from './common.js';

/** More requests than the daemon serves in two turns of its event loop (kRequestsPerWakeUp). */
const MANY = 300;
const HANG_MS = 600;
/** Room for one event, not for two. */
const READ_BYTES = 500;
/** The time until a call that was begun is in the kernel's queue. */
const QUEUED_MS = 100;
/** The new daemon of a reload goes on once this file is there. */
const FLAG = join(process.env.EVENTFS_TEST_DIR ?? '/tmp', 'go-on');
const NATIVE = new URL('../../../../native/index.js', import.meta.url).href;

const HANGING = `await import(${JSON.stringify(pathToFileURL(preload('hanging-handlers')).href)});`;
/** A daemon that makes the one before it pause, and then refuses to take over. */
const REFUSING = `const native = await import(${JSON.stringify(NATIVE)});
  const { existsSync } = await import('node:fs');
  const say = (text) => native.sendMessage(Number(process.env.EVENTFS_GUARD), text, -1);
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  while (!existsSync(${JSON.stringify(FLAG)})) await wait(5);
  say('WARM');
  await wait(${3 * HANG_MS});
  say('NACK no');
  await wait(10_000);`;

const ahead = suite('a request that was read ahead');
const version = new InstalledVersion();

ahead.before(prepare);
ahead.after(async () => {
  version.remove();
  rmSync(FLAG, { force: true });
  await killClients();
  await cleanUp();
});

/** Starts a guarded mount whose handlers hang on request, and callers with `stream` open. */
async function start(): Promise<{ guarded: Daemon; hung: Calls[]; crowd: Calls[] }> {
  version.install(HANGING);
  const guarded = await startGuarded([], undefined, { eventfs: version.command });
  const hung = [new Calls(), new Calls()];
  const crowd = Array.from({ length: MANY }, () => new Calls());
  for (const calls of crowd)
    await calls.open(1, `${guarded.path}/stream`, constants.O_RDONLY | constants.O_NONBLOCK);
  for (const n of [0, 1])
    writeFileSync(`${guarded.path}/publish`, `add@/x\nN=${n}\nPAD=${'x'.repeat(READ_BYTES / 2)}\n`);
  return { guarded, hung, crowd };
}

async function hang(calls: Calls, path: string, ms: number): Promise<void> {
  void calls.begin('getxattr', path, `user.hang.${ms}`);
  await sleep(QUEUED_MS);
}

/**
 * Begins a read of each caller, which takes one event off.
 * @returns waits until all are done, and checks that the next event is still there
 */
async function beginReads(crowd: readonly Calls[]): Promise<() => Promise<void>> {
  const answers = crowd.map((calls) => calls.begin('read', 1, READ_BYTES));
  await sleep(QUEUED_MS);
  return async () => {
    for (const answer of answers) assert.match((await answer).bytes, /^N=0$/m);
    for (const calls of crowd) {
      assert.match((await calls.call('read', 1, READ_BYTES)).bytes, /^N=1$/m);
      await calls.end();
    }
  };
}

/** Makes the daemon pause for another one while requests are read ahead. */
async function pauseWithRequests(
  guarded: Daemon,
  hung: Calls,
  crowd: readonly Calls[],
): Promise<{ reload: ReturnType<typeof eventfs>; areDone: () => Promise<void> }> {
  rmSync(FLAG, { force: true });
  version.install(REFUSING);
  const reload = eventfs('reload', guarded.path);
  await sleep(HANG_MS);
  await hang(hung, guarded.path, HANG_MS);
  const areDone = await beginReads(crowd);
  writeFileSync(FLAG, '');
  return { reload, areDone };
}

ahead('is carried out once if the daemon pauses for another one, and goes on', async () => {
  const { guarded, hung, crowd } = await start();
  const before = await daemonPid(guarded.path);
  const { reload, areDone } = await pauseWithRequests(guarded, hung[0], crowd);
  const { err, code } = await reload;
  assert.is(code, 1);
  assert.match(err, /the old daemon goes on: no$/m);
  await areDone();
  assert.is(await daemonPid(guarded.path), before);
  await guarded.stop();
});

ahead('is carried out once if the guardian dies while the daemon pauses', async () => {
  const { guarded, hung, crowd } = await start();
  const before = await daemonPid(guarded.path);
  const { reload, areDone } = await pauseWithRequests(guarded, hung[0], crowd);
  await sleep(HANG_MS); // the handler has ended, and the daemon pauses
  process.kill(guarded.pid, 'SIGKILL');
  assert.is((await reload).code, 1);
  await areDone();
  assert.is(await daemonPid(guarded.path), before);
  process.kill(before, 'SIGTERM');
  await until(() => !isMounted(guarded.path), 'the daemon did not unmount');
});

ahead('is carried out once if the daemon is killed', async () => {
  const { guarded, hung, crowd } = await start();
  const { path } = guarded;
  const before = await daemonPid(path);
  version.install('');
  await hang(hung[0], path, HANG_MS);
  await hang(hung[1], path, 4 * HANG_MS);
  const areDone = await beginReads(crowd);
  await sleep(HANG_MS); // the second handler hangs now, and the rest is read
  process.kill(before, 'SIGKILL');
  await areDone();
  assert.is.not(await daemonPid(path), before);
  await guarded.stop();
});

ahead.run();
