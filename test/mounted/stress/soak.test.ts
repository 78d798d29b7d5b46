/**
 * Everything at once on one mount: processes that call all operations and are killed at any moment,
 * publishers, uevents, and readers that check each record. EVENTFS_SOAK_SECONDS is the time (`make
 * soak`: half an hour).
 *
 * These hold throughout: no operation reaches an object of a dead process. No reader gets an event
 * twice or out of order, and the events that it has read and lost add up to those published. The
 * daemon does not grow. In the end it has freed everything.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { STACK_TRACE, statusOf } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import {
  type Daemon,
  killDaemons,
  startDaemon,
  until,
  within,
} from '../../support/mount/daemon.js';
import { descriptors, memoryKib } from '../../support/processes.js';
import { figure } from '../../support/runner/output.js';
import { suite } from '../../support/runner/suite.js';

const SECONDS = Number(process.env.EVENTFS_SOAK_SECONDS ?? 30);
const SEED = Number(process.env.EVENTFS_TEST_SEED ?? Date.now() % 2 ** 31);
const PUBLISHERS = 3;
/**
 * The rate of each publisher. The daemon keeps up with it, so that its memory does not depend on
 * the speed of the machine: each event lies in some hundred directories.
 */
const EVENTS_A_SECOND = 1000;
const UEVENTS_A_SECOND = 20;
const OPERATORS = 16;
const DEATHS_A_SECOND = 100;
/** The longest pause of a slow reader: long enough for its queue to overflow. */
const PAUSE_MS = 3000;
/** Far more than the daemon needs, and far less than a leak would take in half an hour. */
const MOST_RESIDENT_MB = 400;
/** The daemon's descriptors besides pidfds: the mount, sockets, epoll sets, those of Node. */
const MOST_DESCRIPTORS = 64;
/** The kernel may know all of `log/`, and the permanent files. */
const MOST_NODES = 1024 + 64;
const SAMPLE_MS = 500;
const END_TIMEOUT_MS = 60_000;

type Counts = Readonly<Record<string, string>>;

/** A process of test/programs/soak/soak.c. */
class Worker {
  static readonly all: Worker[] = [];
  readonly process: ChildProcess;
  readonly #said: Promise<string>;

  constructor(readonly args: readonly (string | number)[]) {
    this.process = spawn(compiled('soak'), args.map(String), { stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    for (const stream of [this.process.stdout!, this.process.stderr!])
      stream.on('data', (chunk: Buffer) => (out += chunk.toString()));
    this.#said = new Promise((done) => this.process.once('close', () => done(out)));
    Worker.all.push(this);
  }

  /** Sends SIGTERM. @returns the counts that the program prints */
  async end(): Promise<Counts> {
    this.process.kill('SIGTERM');
    const said = await within(END_TIMEOUT_MS, this.#said, `${this.args.join(' ')} did not end`);
    assert.match(said, /^(\w+=\S*[ \n])+$/, this.args.join(' '));
    return Object.fromEntries(
      said
        .trim()
        .split(' ')
        .map((word) => word.split('=') as [string, string]),
    );
  }
}

const soak = suite('the soak');
let daemon: Daemon;

soak.before(async () => {
  daemon = await startDaemon(['--source', 'kernel']);
});
soak.after(async () => {
  for (const { process } of Worker.all) process.kill('SIGKILL');
  await killDaemons();
});

/** VmRSS of the daemon in MiB. */
const residentMb = (): number => memoryKib(daemon.pid) / 1024;

/** @returns the number of all events so far */
function published(): number {
  const { KERNEL, PUBLISHED } = statusOf(`${daemon.path}/log`);
  return Number(KERNEL) + Number(PUBLISHED);
}

/** Starts the readers; resolves once all have their streams open. */
async function startReaders(): Promise<{
  checked: Worker[];
  all: Worker;
  before: [number, number];
}> {
  const match = `${daemon.path}/match/SUBSYSTEM=soak`;
  const queue = `${daemon.path}/%.checked/.stream`;
  const checked = [
    ['read', match, 1, 0],
    ['read', match, 1, PAUSE_MS],
    ['read', queue, 1, 0],
    ['read', queue, 3, 0],
    ['read', queue, 2, PAUSE_MS],
  ].map((args) => new Worker(args));
  const least = published();
  const all = new Worker(['read', `${daemon.path}/stream`, 1, PAUSE_MS / 2]);
  const files = [...checked, all].reduce((sum, { args }) => sum + Number(args[2]), 0);
  await until(
    () => statusOf(`${daemon.path}/log`).HANDLES === String(files),
    'the readers are not ready',
    20_000,
  );
  return { checked, all, before: [least, published()] };
}

/** Samples the daemon until the time is over. @returns the largest samples */
async function watch(): Promise<{ mb: number; descriptors: number }> {
  const most = { mb: 0, descriptors: 0 };
  for (const end = Date.now() + SECONDS * 1000; Date.now() < end;) {
    await sleep(SAMPLE_MS);
    most.mb = Math.max(most.mb, residentMb());
    most.descriptors = Math.max(most.descriptors, descriptors(daemon.pid).length);
    assert.ok(most.mb < MOST_RESIDENT_MB, `the daemon has grown to ${most.mb} MiB`);
    assert.is(daemon.log(), '');
    for (const { process, args } of Worker.all)
      assert.is(process.exitCode, null, `${args.join(' ')} has ended`);
  }
  return most;
}

soak(
  `of ${SECONDS} seconds reaches no dead process, counts every loss, and leaves no object`,
  async () => {
    const { checked, all, before } = await startReaders();
    const publishers = Array.from(
      { length: PUBLISHERS },
      (_, id) => new Worker(['publish', daemon.path, id, EVENTS_A_SECOND]),
    );
    const uevents = new Worker(['uevents', UEVENTS_A_SECOND]);
    const operators = new Worker(['operate', daemon.path, OPERATORS, SEED, DEATHS_A_SECOND]);
    const most = await watch();

    const done = await operators.end();
    const sent = (await uevents.end()).sent;
    let events = 0;
    for (const publisher of publishers) events += Number((await publisher.end()).published);
    const told = `seed ${SEED}: ${JSON.stringify(done)}`;
    assert.equal([done.stale, done.unexpected], ['0', '0'], told);
    assert.ok(Number(done.deaths) > SECONDS && Number(done.operations) > 100 * SECONDS, told);

    const sourceLost = Number(statusOf(`${daemon.path}/log`).LOST);
    const totals: string[] = [];
    for (const reader of checked) {
      const got = await reader.end();
      const what = `seed ${SEED}: ${reader.args.join(' ')}: ${JSON.stringify(got)} of ${events}`;
      assert.equal(
        [got.repeated, got.disordered, got.malformed, got.failed],
        ['0', '0', '0', '0'],
        what,
      );
      const sum = Number(got.read) + Number(got.lost);
      // Other programs may fill the kernel's socket. A source reports its loss by an event, which
      // counts as one if it is lost itself.
      assert.ok(
        sum >= events && sum <= events + sourceLost,
        `${what}, and ${sourceLost} at the source`,
      );
      totals.push(`${got.read}+${got.lost}`);
    }
    const least = published() - before[1];
    const got = await all.end();
    const sum = Number(got.read) + Number(got.others) + Number(got.lost);
    assert.equal(
      [got.repeated, got.disordered, got.malformed, got.failed],
      ['0', '0', '0', '0'],
      JSON.stringify(got),
    );
    // Uevents of other programs come at any time, also while the reader opens and ends.
    const { LOST, KERNEL_OVERRUNS } = statusOf(`${daemon.path}/log`);
    if (KERNEL_OVERRUNS === '0')
      assert.ok(
        sum >= least && sum <= published() - before[0],
        `${sum}: ${least} to ${published() - before[0]}, ${LOST} lost`,
      );

    await allIsFreed();
    figure(
      `${SECONDS} s: ${done.operations} operations, ${done.deaths} deaths, ${events} published events, ${sent} uevents; read+lost ${totals.join(' ')}`,
    );
    figure(
      `at most ${most.mb.toFixed(0)} MiB and ${most.descriptors} descriptors; errnos ${done.errors}`,
    );
  },
  (SECONDS + 120) * 1000,
);

/** Asserts that the ledger is empty, and that the daemon has logged nothing. */
async function allIsFreed(): Promise<void> {
  const status = (): Record<string, string> => statusOf(`${daemon.path}/log`);
  await until(
    () => ['DIRECTORIES', 'OWNERS', 'STREAMS', 'HANDLES'].every((key) => status()[key] === '0'),
    'the daemon still holds objects',
    20_000,
  ).catch((error: unknown) => {
    throw new Error(JSON.stringify(status()), { cause: error });
  });
  assert.ok(Number(status().NODES) < MOST_NODES, `${status().NODES} nodes are left`);
  assert.ok(descriptors(daemon.pid).length < MOST_DESCRIPTORS, descriptors(daemon.pid).join(' '));
  assert.not.match(daemon.log(), STACK_TRACE);
  assert.is(daemon.log(), '');
  assert.is(await daemon.stop(), 0);
}

soak.run();
