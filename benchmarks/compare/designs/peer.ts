/**
 * A design that is measured, behind one small interface: start it, subscribe clients, publish, kill some, look what is
 * left, stop it. All subscribers are processes of benchmarks/programs/subscribers.c and all publishers of publisher.c.
 */
import { readFileSync } from 'node:fs';
import { cpuNs } from '../../daemon-costs.js';
import { Histogram } from '../histogram.js';
import { type Answer, Program } from '../program.js';

const ANSWER_TIMEOUT_MS = 60_000;

/** What is still there of subscribers that are dead. */
export interface Left {
  readonly bytes: number;
  /** Inodes and names: directories, FIFOs, links. */
  readonly inodes: number;
  /** Descriptors of the event manager's. */
  readonly descriptors: number;
  /** Processes that were there for them alone. */
  readonly processes: number;
}

/** What the death of some was, as seen at once from another process. */
export interface Death {
  /** When the last one was dead: CLOCK_MONOTONIC, nanoseconds. */
  readonly deadNs: number;
  /** Accesses by name to what was theirs, each made as soon as that process was dead. */
  readonly tried: number;
  readonly reached: number;
  /** Reads that succeeded on descriptors of theirs which the prober had opened before. */
  readonly held: number;
}

/** Sums of all live subscribers. */
export interface Totals {
  readonly atNs: number;
  readonly reads: number;
  readonly events: number;
  readonly lost: number;
  /** Events out of order, or missing though nobody has owned up to it. */
  readonly disorder: number;
  readonly cpuNs: number;
  readonly alive: number;
}

/** Bytes that are held for events nobody has read yet. */
export interface Stored {
  /** The event manager's memory after a collection, text in its ring not counted. */
  readonly manager: number;
  readonly kernel: number;
}

export interface Setting {
  readonly subscribers: number;
  /** Of an event's record: its text and an empty line. */
  readonly bytes: number;
  readonly publishers: number;
}

export abstract class Peer {
  #herd: Program | null = null;
  readonly #publishers: Program[] = [];
  /** What each publisher has published so far. */
  readonly published: number[] = [];
  /** Events of theirs that the system had no room for. */
  readonly #failed: number[] = [];
  readonly #publisherCpuNs: number[] = [];

  constructor(readonly setting: Setting) {}

  /** Command line of a publisher after BYTES and PLACE. */
  protected abstract publisherArgs(): readonly string[];
  /** Command line of the subscribers: the way before their number, and the rest after it. */
  protected abstract subscriberArgs(): {
    way: string;
    rest: readonly string[];
    under?: readonly string[];
  };
  /** The event manager's processes, none where the publisher is the manager. */
  protected abstract managerPids(): readonly number[];
  protected abstract startManager(): Promise<void>;
  protected abstract stopManager(): Promise<void>;
  /** Called before any has subscribed: from here on what is there more is theirs. */
  protected abstract noteIdle(): void;
  /** What is left of those whose PIDs are `dead`, while `alive` are alive and have read everything. */
  protected abstract look(dead: readonly number[], alive: number): Left;
  /** What is held now for events that nobody has read. `events` were published since the subscribers stopped. */
  abstract store(events: number): Promise<Stored>;

  /** The most events of each publisher's in a flood. */
  protected get floodMost(): number {
    return 1e6;
  }

  // ---- the six

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
    const { way, rest, under } = this.subscriberArgs();
    this.noteIdle();
    this.#herd = await Program.start(
      'subscribers',
      [way, this.setting.subscribers, ...rest],
      under,
    );
  }

  /** All publishers at once as fast as they can; resolves after `ms`. */
  async flood(ms: number): Promise<void> {
    const window = new Promise((done) => setTimeout(done, ms));
    await Promise.all(
      this.#publishers.map((_, place) => this.#publish(place, `flood ${ms} ${this.floodMost}`, ms)),
    );
    await window;
  }

  /** `count` events of one publisher's at an even rate. */
  async publishEvenly(perSecond: number, count: number): Promise<void> {
    await this.#publish(0, `rate ${perSecond} ${count}`, (count / perSecond) * 1000);
  }

  /** `count` events of every publisher's. */
  async burst(count: number): Promise<void> {
    await Promise.all(
      this.#publishers.map((_, place) => this.#publish(place, `burst ${count}`, 0)),
    );
  }

  /** SIGKILL for the first `count` live ones; with those who would clean up after them. */
  async kill(count: number, cleanersToo = false): Promise<Death> {
    const answer = await this.#askHerd(`${cleanersToo ? 'kill-both' : 'kill'} ${count}`);
    const [deadNs, tried, reached, held] = ['dead_ns', 'tried', 'reached', 'held'].map((key) =>
      answer.get(key)!,
    );
    return { deadNs, tried, reached, held };
  }

  async left(): Promise<Left> {
    const dead = (await this.#herd!.ask('dead', ANSWER_TIMEOUT_MS))
      .split(' ')
      .filter((pid) => pid !== '')
      .map(Number);
    const left = this.look(dead, this.setting.subscribers - dead.length);
    return {
      ...left,
      processes: childrenOf(this.#herd!.pid).length - (this.setting.subscribers - dead.length),
    };
  }

  async stop(): Promise<void> {
    try {
      await Promise.all([this.#herd, ...this.#publishers].map(async (program) => program?.end()));
    } finally {
      await this.stopManager();
    }
  }

  // ---- counting

  async totals(): Promise<Totals> {
    return asTotals(await this.#askHerd('totals'));
  }

  /** Waits until every subscriber that runs has got or lost what was published. */
  async caughtUp(timeoutMs: number): Promise<Totals> {
    return asTotals(
      await this.#askHerd(`await ${timeoutMs} ${this.published.join(' ')}`, timeoutMs),
    );
  }

  /** Lets the subscribers take what waits for them in the fastest way there is, until they have it or nothing comes any more. */
  async drain(timeoutMs: number): Promise<Totals> {
    return asTotals(
      await this.#askHerd(`hurry ${timeoutMs} ${this.published.join(' ')}`, timeoutMs),
    );
  }

  /** Times from publish to read since the last time. */
  async latencies(): Promise<Histogram> {
    return Histogram.parse(await this.#herd!.ask('latencies', ANSWER_TIMEOUT_MS));
  }

  /** Makes the first `count` live subscribers stop reading. */
  async pause(count: number): Promise<void> {
    await this.#herd!.ask(`stop ${count}`, ANSWER_TIMEOUT_MS);
  }

  async resume(): Promise<void> {
    await this.#herd!.ask('continue', ANSWER_TIMEOUT_MS);
  }

  get publishedInAll(): number {
    return sum(this.published);
  }

  get failedInAll(): number {
    return sum(this.#failed);
  }

  /** CPU time of the publishers, and of the event manager; where they are one it is the manager's. */
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

  #askHerd(line: string, ms = 0): Promise<Answer> {
    return this.#herd!.askNumbers(line, ms + ANSWER_TIMEOUT_MS);
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

/** 0 of a process that has ended. */
function cpuNsOrNone(pid: number): number {
  try {
    return cpuNs(pid);
  } catch {
    return 0;
  }
}

/** The children of a process's first thread, zombies included: proc_pid_task(5). */
export function childrenOf(pid: number): number[] {
  const pids = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ');
  return pids.filter((word) => word !== '').map(Number);
}

export function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
