/**
 * Returns unused memory to the system while no request comes.
 *
 * V8 collects garbage when it needs room, not when a thousand owners have died, and malloc(3) keeps
 * freed memory. So the daemon runs one collection and trims malloc's heap when two conditions hold:
 * it was busy and has had no request for a second, and its heap is much larger than the ledger and
 * the last collection explain. A daemon that has no memory to return, or no requests, has no timer.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { trimHeap } from '#native';
import { isShortage, isSystemError } from '../shared/errors.js';
import type { Logger } from '../shared/log/logger.js';
import type { StatusLines } from '../shared/status-lines.js';

/** The time without a request after which the daemon is idle. */
const IDLE_MS = 1000;
/** The shortest time between two collections. */
const PAUSE_MS = 10_000;
/** The longest that a collection should take. A request that comes meanwhile waits for it. */
const MOST_MS = 50;
/** The least memory that clients must have released before a collection. */
const FREED_BYTES = 8 * 1024 * 1024;
/**
 * The other reason for a collection: since the last one the heap has grown by this much more than
 * the clients' holdings. Requests leave garbage, which V8 collects only when it needs room.
 */
const UNEXPLAINED_BYTES = 8 * 1024 * 1024;
/** The assumed time of a full collection for each live MiB, until one has been measured. */
const MS_A_MIB = 1.5;
const MIB = 1024 * 1024;
/**
 * V8's helper thread takes no part in collections of young objects: the daemon would wait for it
 * while it waits for a CPU. On the command line V8 would refuse the code that Node has compiled for
 * its modules. Of the other phases V8 lets no flag change while it runs.
 */
const ALONE = '--no-parallel-scavenge';

/** Runs a full collection, or one of young objects only. */
type Collect = (options?: { readonly type: 'minor' }) => void;

/** Decides when to collect garbage, runs the collection, and counts it. */
export class GiveBack {
  /** How many collections there were, and how many milliseconds the last one took. */
  #collections = 0;
  #lastMs = 0;
  #timer: NodeJS.Timeout | null = null;
  /** Whether a request or death has come since the timer last fired. */
  #isBusy = false;
  #collect: Collect | null = null;
  #endedMs = -PAUSE_MS;
  #msAMiB = MS_A_MIB;
  /** Bytes of heap and buffers after the last collection, and the bytes that clients held then. */
  #heapAfter = heapBytes() ?? 0;
  #heldAfter = 0;
  /** The most bytes that clients have held since then, as far as the timer saw. */
  #heldMost = 0;

  /**
   * @param memory returns an upper bound of the heap bytes that the clients' holdings take
   * @param logger gets a warning when a collection takes too long
   */
  constructor(
    private readonly memory: () => number,
    private readonly logger: Logger,
  ) {
    setFlagsFromString(ALONE);
  }

  /** Notes a request or a death. The daemon calls it for each. */
  readonly note = (): void => {
    this.#isBusy = true;
    if (this.#timer === null) this.#lookIn(IDLE_MS);
  };

  /** Stops the timer. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Returns the lines of `log/.status` about collections. */
  statusLines(): StatusLines {
    return [
      ['COLLECTIONS', this.#collections],
      ['COLLECTION_MS', Math.round(this.#lastMs)],
    ];
  }

  #lookIn(ms: number): void {
    this.#timer = setTimeout(this.#look, ms);
    this.#timer.unref();
  }

  readonly #look = (): void => {
    this.#timer = null;
    const wasBusy = this.#isBusy;
    this.#isBusy = false;
    const held = this.memory();
    this.#heldMost = Math.max(this.#heldMost, held);
    if (wasBusy) return this.#lookIn(IDLE_MS);
    const heap = heapBytes();
    if (heap === undefined) return this.#lookIn(PAUSE_MS);
    const explained = held - this.#heldAfter;
    if (
      this.#heldMost - held < FREED_BYTES &&
      heap - this.#heapAfter - explained < UNEXPLAINED_BYTES
    )
      return;
    const waitMs = this.#endedMs + PAUSE_MS - performance.now();
    if (waitMs > 0) return this.#lookIn(waitMs);
    this.#run(held);
  };

  #run(held: number): void {
    this.#collect ??= collector();
    const startMs = performance.now();
    // The duration of a collection depends on the live bytes. These are the program's own, and at
    // most the bytes that are held for clients.
    const live = Math.max(this.#heapAfter - this.#heldAfter, 0) + held;
    const isFull = (live / MIB) * this.#msAMiB <= MOST_MS;
    if (isFull) this.#collect();
    else this.#collect({ type: 'minor' });
    this.#lastMs = performance.now() - startMs;
    trimHeap();
    this.#endedMs = performance.now();
    this.#collections++;
    this.#heapAfter = heapBytes() ?? this.#heapAfter;
    this.#heldAfter = this.#heldMost = held;
    if (isFull) this.#msAMiB = this.#lastMs / (this.#heapAfter / MIB);
    if (this.#lastMs > MOST_MS)
      this.logger.warn(
        `a ${isFull ? 'full' : 'minor'} garbage collection took ${Math.round(this.#lastMs)} ms: the daemon served no request`,
      );
  }
}

/** Returns undefined if no descriptor is left for /proc/self/stat, which Node.js reads here. */
function heapBytes(): number | undefined {
  try {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  } catch (error) {
    if (isSystemError(error) && isShortage(error.errno)) return undefined;
    throw error;
  }
}

/** Returns V8's collector, which a program sees only with --expose-gc. */
function collector(): Collect {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as Collect;
}
