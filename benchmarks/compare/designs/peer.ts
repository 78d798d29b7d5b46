/**
 * The interface to a measured design: start it, subscribe clients, publish, kill some, find
 * leftovers, stop it. Subscribers are processes of benchmarks/programs/subscribers.c, publishers of
 * publisher.c.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { childrenOf } from '../../../test/support/processes.js';
import { cpuNs } from '../../daemon-costs.js';
import { Histogram } from '../histogram.js';
import { type Answer, Program } from '../program.js';

const ANSWER_TIMEOUT_MS = 60_000;

/** The leftovers of dead subscribers. */
export interface Leftovers {
  readonly bytes: number;
  /** The number of directories, FIFOs and links. */
  readonly inodes: number;
  /** Descriptors of the event manager. */
  readonly descriptors: number;
  /** Processes that served dead subscribers only. */
  readonly processes: number;
}

/** The death of some subscribers, as another process sees it at once. */
interface Death {
  /** The time at which the last one was dead, in nanoseconds of CLOCK_MONOTONIC. */
  readonly deadNs: number;
  /** Accesses by name to their files, each as soon as the process was dead. */
  readonly tried: number;
  readonly reached: number;
  /** Reads that succeeded on descriptors which the prober had opened before the death. */
  readonly held: number;
}

/** Sums of all live subscribers. */
export interface Totals {
  readonly atNs: number;
  readonly reads: number;
  readonly events: number;
  readonly lost: number;
  /** Events that were out of order, or missing without a record of the loss. */
  readonly disorder: number;
  readonly cpuNs: number;
  readonly alive: number;
}

/** Bytes that are held for events that no subscriber has read. */
export interface Stored {
  /** The event manager's memory after a collection, without the text in its ring. */
  readonly manager: number;
  readonly kernel: number;
}

export interface Setting {
  readonly subscribers: number;
  /** The size of an event's record: its text and an empty line. */
  readonly bytes: number;
  readonly publishers: number;
}

export abstract class Peer {
  #subscribers: Program | null = null;
  readonly #publishers: Program[] = [];
  /** The number of events that each publisher has published. */
  readonly published: number[] = [];
  /** The number of events of each publisher that the system had no room for. */
  readonly #failed: number[] = [];
  readonly #publisherCpuNs: number[] = [];

  constructor(readonly setting: Setting) {}

  /** Returns the arguments of a publisher after BYTES and PLACE. */
  protected abstract publisherArgs(): readonly string[];
  /** Returns the arguments of the subscribers: the mode before their number, the rest after it. */
  protected abstract subscriberArgs(): {
    mode: string;
    rest: readonly string[];
    under?: readonly string[];
  };
  /** Returns the event manager's PIDs; none if the publisher is the manager. */
  protected abstract managerPids(): readonly number[];
  protected abstract startManager(): Promise<void>;
  protected abstract stopManager(): Promise<void>;
  /** Records the state before the first subscription, with which leftovers are compared. */
  protected abstract noteIdle(): void;
  /**
   * Returns the leftovers of the PIDs `dead`, while `alive` others live and have read everything.
   */
  protected abstract look(dead: readonly number[], alive: number): Leftovers;
  /**
   * Returns the memory for unread events. @param events the number that was published since the
   * pause
   */
  abstract store(events: number): Promise<Stored>;

  /** The most events of each publisher in a flood. */
  protected get floodMost(): number {
    return 1e6;
  }

  // ---- running

  async start(): Promise<void> {
    await this.startManager();
    for (let place = 0; place < this.setting.publishers; place++) {
      this.#publishers.push(
        await Program.start('publisher', [this.setting.bytes, place, ...this.publisherArgs()]),
      );
      this.published.push(0);
      this.#failed.push(0);
      this.#publisherCpuNs.push(0);
    }
  }

  async subscribe(): Promise<void> {
    const { mode, rest, under } = this.subscriberArgs();
    this.noteIdle();
    this.#subscribers = await Program.start(
      'subscribers',
      [mode, this.setting.subscribers, ...rest],
      under,
    );
  }

  /** Makes all publishers publish as fast as they can for `ms`. */
  async flood(ms: number): Promise<void> {
    const window = sleep(ms);
    await Promise.all(
      this.#publishers.map((_, place) => this.#publish(place, `flood ${ms} ${this.floodMost}`, ms)),
    );
    await window;
  }

  /** Makes one publisher publish `count` events at an even rate. */
  async publishEvenly(perSecond: number, count: number): Promise<void> {
    await this.#publish(0, `rate ${perSecond} ${count}`, (count / perSecond) * 1000);
  }

  /** Makes every publisher publish `count` events. */
  async burst(count: number): Promise<void> {
    await Promise.all(
      this.#publishers.map((_, place) => this.#publish(place, `burst ${count}`, 0)),
    );
  }

  /** Kills the first `count` live subscribers, and their wrappers if `cleanersToo`. */
  async kill(count: number, cleanersToo = false): Promise<Death> {
    const answer = await this.#askSubscribers(`${cleanersToo ? 'kill-both' : 'kill'} ${count}`);
    const [deadNs, tried, reached, held] = ['dead_ns', 'tried', 'reached', 'held'].map((key) =>
      answer.get(key)!,
    );
    return { deadNs, tried, reached, held };
  }

  async left(): Promise<Leftovers> {
    const dead = (await this.#subscribers!.ask('dead', ANSWER_TIMEOUT_MS))
      .split(' ')
      .filter((pid) => pid !== '')
      .map(Number);
    const left = this.look(dead, this.setting.subscribers - dead.length);
    return {
      ...left,
      processes:
        childrenOf(this.#subscribers!.pid).length - (this.setting.subscribers - dead.length),
    };
  }

  async stop(): Promise<void> {
    try {
      await Promise.all(
        [this.#subscribers, ...this.#publishers].map(async (program) => program?.end()),
      );
    } finally {
      await this.stopManager();
    }
  }

  // ---- counting

  async totals(): Promise<Totals> {
    return asTotals(await this.#askSubscribers('totals'));
  }

  /** Waits until every running subscriber has got or lost each published event. */
  async caughtUp(timeoutMs: number): Promise<Totals> {
    return asTotals(
      await this.#askSubscribers(`await ${timeoutMs} ${this.published.join(' ')}`, timeoutMs),
    );
  }

  /** Makes the subscribers take waiting events in the fastest way, until none comes any more. */
  async drain(timeoutMs: number): Promise<Totals> {
    return asTotals(
      await this.#askSubscribers(`drain ${timeoutMs} ${this.published.join(' ')}`, timeoutMs),
    );
  }

  /** Returns the times from publish to read since the last call. */
  async latencies(): Promise<Histogram> {
    return Histogram.parse(await this.#subscribers!.ask('latencies', ANSWER_TIMEOUT_MS));
  }

  /** Makes the first `count` live subscribers stop reading. */
  async pause(count: number): Promise<void> {
    await this.#subscribers!.ask(`stop ${count}`, ANSWER_TIMEOUT_MS);
  }

  async resume(): Promise<void> {
    await this.#subscribers!.ask('continue', ANSWER_TIMEOUT_MS);
  }

  get publishedInAll(): number {
    return sum(this.published);
  }

  /**
   * Returns the CPU times of publishers and manager; a publisher that is the manager counts as
   * manager.
   */
  cpuTimes(): { publisherNs: number; managerNs: number } {
    const publisherNs = sum(this.#publisherCpuNs);
    const pids = this.managerPids();
    return pids.length === 0
      ? { publisherNs: 0, managerNs: publisherNs }
      : { publisherNs, managerNs: sum(pids.map(cpuNsOrNone)) };
  }

  async #publish(place: number, line: string, ms: number): Promise<void> {
    const answer = await this.#publishers[place].askNumbers(line, ms + ANSWER_TIMEOUT_MS);
    this.published[place] = answer.get('published')!;
    this.#failed[place] = answer.get('failed')!;
    this.#publisherCpuNs[place] = answer.get('cpu_ns')!;
  }

  #askSubscribers(line: string, ms = 0): Promise<Answer> {
    return this.#subscribers!.askNumbers(line, ms + ANSWER_TIMEOUT_MS);
  }
}

function asTotals(answer: Answer): Totals {
  const of = (key: string): number => answer.get(key)!;
  return {
    atNs: of('at_ns'),
    reads: of('reads'),
    events: of('events'),
    lost: of('lost'),
    disorder: of('disorder'),
    cpuNs: of('cpu_ns'),
    alive: of('alive'),
  };
}

/** Returns the CPU time of a process; 0 if it has ended. */
function cpuNsOrNone(pid: number): number {
  try {
    return cpuNs(pid);
  } catch {
    return 0;
  }
}

export function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
