/**
 * Users take turns if requests wait for long (native/addon/device/fair_queue.h). A handler that
 * hangs for some time makes requests wait: the kernel sends them in the order of the calls.
 */
import * as assert from 'uvu/assert';
import { constants } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, Calls, killClients, statusOf } from '../../support/clients/clients.js';
import {
  type Daemon,
  killDaemons,
  mountPoint,
  startDaemon,
  until,
  within,
} from '../../support/mount/daemon.js';
import { NOBODY, asUser } from '../../support/mount/other-user.js';
import { withPreload } from '../../support/project.js';
import { suite } from '../../support/runner/suite.js';

const OTHER = NOBODY - 1;
const ROOT = 0;
/** How long a request that makes others wait takes. */
const HANG_MS = 200;
/** The time until a call that was begun is in the kernel's queue. */
const QUEUED_MS = 30;
/** More requests than the daemon serves without a turn of its event loop (kRequestsPerWakeUp). */
const MANY = 140;
/** More closes than those of one user that are served at once (kMostAtOnce in fair_queue.h). */
const MANY_CLOSES = 900;

const turns = suite('requests that wait');
let daemon: Daemon;
let callers: Calls[] = [];

turns.after(async () => {
  await killClients();
  await killDaemons();
});

/** Runs `work` with a daemon whose handlers hang on request. */
async function withDaemon(args: readonly string[], work: () => Promise<void>): Promise<void> {
  const eventfs = withPreload('hanging-handlers');
  const options = ['--source', 'none', '--transport', 'read', ...args];
  daemon = await startDaemon(options, mountPoint(), { eventfs });
  await work();
  for (const caller of callers) if (caller.process.signalCode === null) await caller.end();
  callers = [];
  await daemon.stop();
}

/** Starts a process that makes calls as a user. */
async function caller(uid: number): Promise<Calls> {
  const calls = new Calls(uid === ROOT ? [] : asUser(uid));
  callers.push(calls);
  await calls.call('stat', '/');
  return calls;
}

/** Begins a call, and waits until its request is in the kernel's queue. */
async function begin(
  calls: Calls,
  verb: string,
  ...args: readonly (string | number)[]
): Promise<{ answer: Promise<Answer> }> {
  const answer = calls.begin(verb, ...args);
  await sleep(QUEUED_MS);
  return { answer };
}

const hang = (calls: Calls, ms = HANG_MS): ReturnType<typeof begin> =>
  begin(calls, 'getxattr', daemon.path, `user.hang.${ms}`);

/** Resolves with the answers, and notes the order in which they come. */
function noteOrder(answers: Record<string, Promise<Answer>>): Promise<string[]> {
  const order: string[] = [];
  const all = Object.entries(answers).map(([name, answer]) => answer.then(() => order.push(name)));
  return within(20_000, Promise.all(all), 'the calls did not end').then(() => order);
}

turns('are served in the order of one user, and another user has a turn between them', async () => {
  await withDaemon([], async () => {
    const [first, ...crowd] = await Promise.all([1, 2, 3, 4, 5].map(() => caller(NOBODY)));
    const other = await caller(OTHER);
    const answers: Record<string, Promise<Answer>> = { first: (await hang(first)).answer };
    for (const [n, calls] of crowd.entries()) answers[`crowd ${n}`] = (await hang(calls)).answer;
    answers.other = (await begin(other, 'getxattr', daemon.path, 'user.none')).answer;
    const order = await noteOrder(answers);
    const ofCrowd = order.filter((name) => name !== 'other');
    assert.equal(ofCrowd, ['first', 'crowd 0', 'crowd 1', 'crowd 2', 'crowd 3']);
    // The kernel may ask for the root's attributes first: that is a turn too.
    assert.ok(order.indexOf('other') <= 3, order.join());
  });
});

turns('do not wait for a user that makes a directory and has other requests', async () => {
  await withDaemon([], async () => {
    const [first, maker, ...crowd] = await Promise.all(
      Array.from({ length: 12 }, () => caller(NOBODY)),
    );
    const other = await caller(OTHER);
    const answers: Record<string, Promise<Answer>> = { first: (await hang(first)).answer };
    for (const [n, calls] of crowd.entries()) answers[`crowd ${n}`] = (await hang(calls)).answer;
    for (const [name, calls] of Object.entries({ maker, other })) {
      const directory = `${daemon.path}/${calls.pid}`;
      answers[name] = (await begin(calls, 'mkdir', directory, 0o755)).answer;
    }
    const order = await noteOrder(answers);
    // The calls of `other` make three requests, each of which waits for one or two of the crowd.
    const last = order.indexOf('crowd 8');
    assert.ok(order.indexOf('other') < last, `the root was locked: ${order.join()}`);
  });
});

turns('are all served if no more come', async () => {
  await withDaemon([], async () => {
    const first = await caller(ROOT);
    const crowd = await Promise.all(Array.from({ length: MANY }, () => caller(ROOT)));
    for (const calls of crowd) await calls.open(1, `${daemon.path}/log/.status`);
    await hang(first, 3 * HANG_MS);
    const answers = crowd.map((calls) => calls.call('read', 1, 4096));
    for (const answer of answers) assert.match((await answer).bytes, 'TRANSPORT=');
  });
});

turns('are interrupted by a signal after their turn', async () => {
  await withDaemon([], async () => {
    const [first, ...crowd] = await Promise.all([1, 2, 3, 4].map(() => caller(NOBODY)));
    const reader = await caller(NOBODY);
    await reader.open(1, `${daemon.path}/stream`);
    await hang(first);
    const answers: Record<string, Promise<Answer>> = {};
    for (const [n, calls] of crowd.entries()) answers[n] = (await hang(calls)).answer;
    await begin(reader, 'read', 1, 4096);
    await first.call('stat', '/'); // its call has ended, so that the others are read ahead
    await reader.end();
    assert.is((await noteOrder(answers)).length, crowd.length);
    assert.is(statusOf(`${daemon.path}/log`).PARKED, '0');
  });
});

/** Opens a file many times. */
async function openOften(calls: Calls, path: string, flags: number): Promise<void> {
  const slots = Array.from({ length: MANY_CLOSES }, (_, slot) => slot);
  for (const { errno } of await Promise.all(slots.map((slot) => calls.open(slot, path, flags))))
    assert.is(errno, '');
}

/** Makes a process's directory, and in it an event that is being written. */
async function beginEvent(writer: Calls): Promise<string> {
  const directory = `${daemon.path}/${writer.pid}`;
  assert.is((await writer.call('mkdir', directory, 0o755)).errno, '');
  await writer.open(1, `${directory}/event`, constants.O_WRONLY | constants.O_CREAT);
  await writer.call('write', 1, 'add@/x\nN=1\n');
  return directory;
}

async function reader(uid: number, directory: string): Promise<Calls> {
  const calls = await caller(uid);
  await calls.open(1, `${directory}/.stream`, constants.O_RDONLY | constants.O_NONBLOCK);
  return calls;
}

turns('come after the close of a file that their caller was told of', async () => {
  await withDaemon([], async () => {
    const first = await caller(NOBODY);
    // The close would be the third request of its user.
    const crowd = await Promise.all([1, 2].map(() => caller(OTHER)));
    const writer = await caller(OTHER);
    const directory = await beginEvent(writer);
    const stream = await reader(ROOT, directory);
    await hang(first);
    const answers = await Promise.all(crowd.map((calls) => hang(calls)));
    await writer.call('close', 1);
    const { errno, bytes } = await stream.call('read', 1, 4096);
    assert.is(errno, '');
    assert.match(bytes, 'N=1');
    for (const { answer } of answers) await answer;
  });
});

for (const [does, flags] of [
  ['read', constants.O_RDONLY],
  ['written', constants.O_WRONLY],
] as const) {
  turns(`come after a close behind many closes of files that were ${does}`, async () => {
    await withDaemon([], async () => {
      const [first, crowd] = [await caller(ROOT), await caller(NOBODY)];
      const writer = await caller(OTHER);
      const directory = await beginEvent(writer);
      const stream = await reader(ROOT, directory);
      await openOften(crowd, `${await beginEvent(crowd)}/event`, flags);
      await hang(first, 3 * HANG_MS);
      await crowd.end();
      await writer.call('close', 1);
      const { errno, bytes } = await stream.call('read', 1, 4096);
      assert.is(errno, '');
      assert.match(bytes, 'N=1');
    });
  });
}

turns('come between the many closes of another user, and after their own', async () => {
  await withDaemon([], async () => {
    const [first, crowd] = [await caller(ROOT), await caller(NOBODY)];
    const writer = await caller(NOBODY);
    const directory = await beginEvent(writer);
    const [other, own] = [await reader(ROOT, directory), await reader(NOBODY, directory)];
    await openOften(crowd, `${directory}/event`, constants.O_WRONLY);
    await writer.call('close', 1);
    await hang(first, 3 * HANG_MS);
    await crowd.end();
    const { answer } = await begin(other, 'read', 1, 4096);
    assert.match((await own.call('read', 1, 4096)).bytes, 'N=1');
    assert.is((await answer).errno, 'EAGAIN', 'it waited for all the closes');
  });
});

turns('fail with EIO if a handler hangs before their turn; signals are kept', async () => {
  await withDaemon(['--request-bound', '1'], async () => {
    const [first, second, third] = await Promise.all([1, 2, 3].map(() => caller(NOBODY)));
    const [other, reader] = [await caller(OTHER), await caller(ROOT)];
    await reader.open(1, `${daemon.path}/stream`);
    await begin(reader, 'read', 1, 4096);
    await hang(first);
    await hang(second, 3 * HANG_MS);
    const hung = await hang(third, 3000);
    await first.call('stat', '/'); // its call has ended: `third` is read ahead
    const ended = reader.end();
    const { answer } = await begin(other, 'getxattr', daemon.path, 'user.none');
    const startMs = Date.now();
    assert.is((await hung.answer).errno, 'EIO');
    assert.is((await answer).errno, 'EIO');
    assert.ok(Date.now() - startMs < 2500, 'both end before the handler does');
    await ended;
    await until(
      async () => (await other.call('getxattr', daemon.path, 'user.none')).errno === 'ENODATA',
      'the daemon does not serve',
    );
    assert.is(statusOf(`${daemon.path}/log`).PARKED, '0');
  });
});

turns.run();
