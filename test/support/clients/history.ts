/**
 * Clients that write histories (test/programs/history), and the check of what they have written.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compiled } from './compiled.js';
import { checkHistories } from '../../../tools/history/check.js';
import type { Findings } from '../../../tools/history/findings.js';
import { readHistories } from '../../../tools/history/lines.js';
import { statusOf } from './clients.js';
import { until, within } from '../mount/daemon.js';

const READY_TIMEOUT_MS = 20_000;
const END_TIMEOUT_MS = 60_000;
const SETTLE_TIMEOUT_MS = 10_000;
const NS_PER_MS = 1e6;

/** The counters that must be at the end what they were at the start. */
const BOOKS = [
  'DIRECTORIES',
  'OWNERS',
  'STREAMS',
  'HANDLES',
  'EVENTS',
  'BYTES',
  'MEMORY',
  'READS',
  'PARKED',
] as const;

/** The parts of a load. */
interface Load {
  /** Publishers by program; each has the number of its place. */
  readonly publishers: number;
  /** Events a second of each. */
  readonly rate: number;
  /** Events in one write(2). */
  readonly burst?: number;
  /** Events of each publisher; without it they publish until the end. */
  readonly events?: number;
  /** Uevents a second that the kernel sends; the daemon needs the source `kernel`. */
  readonly uevents?: number;
  /** Deaths of owners a second. */
  readonly deaths: number;
  /** All deaths; without it owners die until the end. */
  readonly allDeaths?: number;
  /** Clients of the namespace, and their calls a second. */
  readonly names: number;
  readonly calls: number;
  /** The longest pause of slow readers, in milliseconds. */
  readonly pauseMs?: number;
  readonly seed: number;
}

/** One process of test/programs/history. */
class HistoryClient {
  readonly process: ChildProcess;
  readonly ready: Promise<void>;
  readonly ended: Promise<string>;
  /** Whether the client has made all calls that it was to make. */
  isDone = false;

  constructor(readonly args: readonly string[]) {
    this.process = spawn(compiled('history'), args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    this.ended = new Promise((done) =>
      this.process.once('close', (code, signal) => done(`${code ?? signal}: ${said}`)),
    );
    this.process.stderr!.on('data', (chunk: Buffer) => (said += chunk.toString()));
    this.ready = new Promise((done, failed) => {
      this.process.stdout!.on('data', (chunk: Buffer) => {
        this.isDone ||= chunk.toString().includes('done');
        done();
      });
      void this.ended.then((how) => failed(new Error(`${args.join(' ')} ended with ${how}`)));
    });
    this.ready.catch(() => undefined);
  }

  /** Sends SIGTERM, and waits until the client has written its last line. */
  async end(): Promise<void> {
    this.process.kill('SIGTERM');
    const how = await within(END_TIMEOUT_MS, this.ended, `${this.args.join(' ')} did not end`);
    if (how !== '0: ') throw new Error(`${this.args.join(' ')} ended with ${how}`);
  }
}

/**
 * Runs a publisher, a reader and a client of the namespace by turns, to their end.
 * @param calls the number of calls of the namespace; the same seed makes the same calls
 * @param timeoutMs the time limit, in milliseconds
 * @returns the check of their histories
 */
export async function runScript(
  mount: string,
  seed: number,
  calls: number,
  timeoutMs: number,
): Promise<Findings> {
  const out = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'script-'));
  const script = new HistoryClient(['script', mount, out, String(seed), String(calls)]);
  const how = await within(timeoutMs, script.ended, 'the script did not end').catch(
    (error: unknown) => {
      script.process.kill('SIGKILL');
      throw error;
    },
  );
  if (how !== '0: ') throw new Error(`the script ended with ${how}`);
  return checkHistories(readHistories(out), { longest: timeoutMs * NS_PER_MS });
}

/** The clients of one run. */
export class Historians {
  /** The directory of the histories. */
  readonly out: string;
  readonly #readers: HistoryClient[] = [];
  readonly #publishers: HistoryClient[] = [];
  readonly #others: HistoryClient[] = [];
  #heldAtStart = '';

  /** @param mount the mount point */
  constructor(readonly mount: string) {
    this.out = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'history-'));
  }

  get #all(): readonly HistoryClient[] {
    return [...this.#publishers, ...this.#others, ...this.#readers];
  }

  /** Whether all clients that were to make a number of calls have made them. */
  get areDone(): boolean {
    return [...this.#publishers, ...this.#others].every(
      ({ args: [role], isDone }) => isDone || (role !== 'publish' && role !== 'owners'),
    );
  }

  /** The PIDs of the readers. */
  get readers(): readonly number[] {
    return this.#readers.map(({ process }) => process.pid!);
  }

  /** The clients that have ended by themselves. */
  get ended(): readonly string[] {
    return this.#all
      .filter(({ process }) => process.exitCode !== null || process.signalCode !== null)
      .map(({ args }) => args.join(' '));
  }

  async #start(list: HistoryClient[], role: string, ...args: readonly unknown[]): Promise<void> {
    const started = new HistoryClient([role, this.mount, this.out, ...args.map(String)]);
    list.push(started);
    await within(READY_TIMEOUT_MS, started.ready, `${role} ${args.join(' ')} was not ready`);
  }

  /** Returns the counters of what the daemon holds. */
  #held(): string {
    const status = statusOf(`${this.mount}/log`);
    return BOOKS.map((key) => `${key}=${status[key]}`).join(' ');
  }

  /** Notes the daemon's counters. */
  #books(): void {
    appendFileSync(join(this.out, 'books.history'), `0 0 books 0 ${this.#held()}\n`);
  }

  /** Starts 16 readers, then the other clients; resolves once all are ready. */
  async start(load: Load): Promise<void> {
    writeFileSync(join(this.out, 'books.history'), 'eventfs-history 1 books\n');
    this.#heldAtStart = this.#held();
    this.#books();
    const { pauseMs = 0 } = load;
    const some = `0|${load.publishers - 1}`;
    const last = String(load.publishers - 1);
    await Promise.all(
      [
        ['stream', '*', 2, 0],
        ['stream', '*', 1, pauseMs],
        ['match', '0', 2, 0],
        ['match', some, 2, 0],
        ['match', '*', 1, pauseMs],
        ['queue', '*', 1, 0],
        ['queue', some, 1, 0],
        ['queue', last, 1, pauseMs],
        ['queue', '0', 2, 0],
        ['queue', '*', 3, 0],
      ].map((args) => this.#start(this.#readers, 'read', ...args)),
    );
    await Promise.all([
      ...Array.from({ length: load.names }, (_, i) =>
        this.#start(this.#others, 'names', load.seed + i, load.calls),
      ),
      ...(load.deaths > 0
        ? [this.#start(this.#others, 'owners', load.seed, 8, load.deaths, load.allDeaths ?? 0)]
        : []),
      ...(load.uevents === undefined
        ? []
        : [this.#start(this.#publishers, 'send', 90, load.uevents)]),
    ]);
    const { rate, burst = 1, events = 0 } = load;
    for (let id = 0; id < load.publishers; id++)
      await this.#start(this.#publishers, 'publish', id, rate, burst, events);
  }

  /**
   * Ends the clients, readers last; they read all events first.
   * @param settleMs the time in which the kernel's last uevents come, in milliseconds
   */
  async end(settleMs = 200): Promise<void> {
    for (const list of [this.#publishers, this.#others])
      await Promise.all(list.map((one) => one.end()));
    await sleep(settleMs);
    await Promise.all(this.#readers.map((one) => one.end()));
  }

  /** Kills all clients that are left. */
  kill(): void {
    for (const { process } of this.#all) process.kill('SIGKILL');
  }

  /** Waits until the daemon holds no more than at the start, and notes its counters. */
  async close(): Promise<void> {
    await until(
      () => this.#held() === this.#heldAtStart,
      'the daemon still holds objects',
      SETTLE_TIMEOUT_MS,
    ).catch(() => undefined); // the checker says so
    this.#books();
  }

  /** Checks what the clients have written. `longestMs` bounds calls and waits. */
  check(longestMs: number): Findings {
    return checkHistories(readHistories(this.out), { longest: longestMs * NS_PER_MS });
  }
}
