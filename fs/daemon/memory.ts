/**
 * Gives memory back that nobody uses any more, while nobody asks for anything.
 *
 * V8 collects when it needs room, not when a thousand owners have died, and malloc(3) keeps what is freed. So once the daemon has
 * had no request for a second after it was busy, and its heap holds much more than the ledger and the last collection explain,
 * one collection is run and malloc is told to give back. A daemon that has nothing to give back, or nothing to do, has no timer.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { trimHeap } from '#native';
import type { Logger } from '../shared/logger.js';
import type { StatusLines } from '../shared/status-lines.js';

/** How long there has been no request when the daemon counts as idle. */
const IDLE_MS = 1000;
/** How often memory is given back at most. */
const PAUSE_MS = 10_000;
/** What a collection may take. A request that comes meanwhile waits for it. */
const MOST_MS = 50;
/** So much that clients have let go of is left alone. */
const FREED_BYTES = 8 * 1024 * 1024;
/** And so much more than what they hold explains: requests leave garbage, which V8 collects by itself in the end. */
const UNEXPLAINED_BYTES = 32 * 1024 * 1024;
/** What a full collection takes for each MiB that lives, before one has been seen. */
const MS_A_MIB = 1.5;
const MIB = 1024 * 1024;

/** A full collection, or one of the young objects only. */
type Collect = (options?: { readonly type: 'minor' }) => void;

export class GiveBack {
  /** How many collections there were, and how long the last took. */
  #collections = 0;
  #lastMs = 0;
  #timer: NodeJS.Timeout | null = null;
  /** Whether a request has come since the timer was looked at. */
  #isBusy = false;
  #collect: Collect | null = null;
  #endedMs = -PAUSE_MS;
  #msAMiB = MS_A_MIB;
  /** Bytes of heap and buffers after the last collection, and what clients held then. */
  #heapAfter = heapBytes();
  #heldAfter = 0;
  /** The most that they held since, as far as was seen. */
  #heldMost = 0;

  /**
   * @param memory how many bytes of heap what clients hold takes, at most
   * @param logger told of collections that took too long
   */
  constructor(
    private readonly memory: () => number,
    private readonly logger: Logger,
  ) {}

  /** A request has come, or a death. Called for each. */
  readonly note = (): void => {
    this.#isBusy = true;
    if (this.#timer === null) this.#lookIn(IDLE_MS);
  };

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

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
    const explained = held - this.#heldAfter;
    if (
      this.#heldMost - held < FREED_BYTES &&
      heapBytes() - this.#heapAfter - explained < UNEXPLAINED_BYTES
    )
      return;
    const waitMs = this.#endedMs + PAUSE_MS - performance.now();
    if (waitMs > 0) return this.#lookIn(waitMs);
    this.#run(held);
  };

  #run(held: number): void {
    this.#collect ??= collector();
    const startMs = performance.now();
    // What lives is what a full collection takes its time for: at least the program's own, at most that and what clients hold.
    const live = Math.max(this.#heapAfter - this.#heldAfter, 0) + held;
    const isFull = (live / MIB) * this.#msAMiB <= MOST_MS;
    if (isFull) this.#collect();
    else this.#collect({ type: 'minor' });
    this.#lastMs = performance.now() - startMs;
    trimHeap();
    this.#endedMs = performance.now();
    this.#collections++;
    this.#heapAfter = heapBytes();
    this.#heldAfter = this.#heldMost = held;
    if (isFull) this.#msAMiB = this.#lastMs / (this.#heapAfter / MIB);
    if (this.#lastMs > MOST_MS)
      this.logger.warn(
        `a collection of ${isFull ? 'all' : 'young'} garbage took ${Math.round(this.#lastMs)} ms`,
      );
  }
}

function heapBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** V8's own, which a program must ask for. */
function collector(): Collect {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as Collect;
}
