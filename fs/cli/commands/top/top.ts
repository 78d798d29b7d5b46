/** `eventfs top`: the subscribers, their rates and losses, and the newest events, redrawn. */
import { setTimeout as sleep } from 'node:timers/promises';
import { tellsOfDaemonEnd } from '../../../client/ended.js';
import { requireMount } from '../../../client/mounted.js';
import { Rates } from '../../../client/rates.js';
import {
  type LoggedEvent,
  type MountStatus,
  readMountStatus,
  readNewest,
} from '../../../client/sample.js';
import { DaemonEndedError, isSystemError } from '../../../shared/errors.js';
import { print, printError } from '../../terminal/output.js';
import { movesCursor, screenOf } from '../../terminal/screen.js';
import { MOST_NEWEST, frame } from './frame.js';
import { SORTS, type Sort } from './sorts.js';
import { Display } from './display.js';

/** The options of `eventfs top`. */
export interface TopOptions {
  /** The time between two screens, in seconds. */
  readonly interval: number;
  readonly sort: Sort;
  readonly once?: boolean;
  readonly mount: string;
}

/** The longest time of an answer of a daemon that is not late, in ms. */
const LATE_MS = 2000;

/**
 * Shows a mount until the user types q, or a signal comes. Prints one screen and ends if the output
 * is no terminal, or one that can't move its cursor.
 *
 * @throws UserError if eventfs is not mounted there, or its daemon ends
 */
export async function top(options: TopOptions): Promise<void> {
  const path = await requireMount(options.mount);
  try {
    const reading = new Reading(path);
    await reading.next();
    if (options.once === true || !movesCursor(screenOf())) {
      await sleep(options.interval * 1000);
      await reading.next();
      print(`${reading.frame(options.sort, '').join('\n')}\n`);
    } else await new Loop(path, reading, options).run();
  } catch (error) {
    // ENOENT: it is unmounted
    if (tellsOfDaemonEnd(error) || isSystemError(error, 'ENOENT'))
      throw new DaemonEndedError(`${path}: the daemon has ended (try eventfs mount ${path})`);
    throw error;
  }
}

/** The last two readings of a mount, and its newest events. */
class Reading {
  #before: MountStatus | null = null;
  #now: MountStatus | null = null;
  #newest: readonly LoggedEvent[] = [];

  constructor(private readonly path: string) {}

  /** Reads the mount again. The newest events are read only if events have come. */
  async next(): Promise<void> {
    const now = await readMountStatus(this.path);
    const keys = ['KERNEL', 'UDEV', 'PUBLISHED', 'LOST'] as const;
    const isSame = keys.every((key) => this.#now?.daemon.get(key) === now.daemon.get(key));
    if (!isSame) this.#newest = await readNewest(this.path, MOST_NEWEST);
    this.#before = this.#now;
    this.#now = now;
  }

  /** Returns the lines of the screen. */
  frame(sort: Sort, bottom: string): string[] {
    const now = this.#now!;
    const rates = new Rates(this.#before, now);
    return frame({ path: this.path, now, rates, newest: this.#newest, sort, bottom }, screenOf());
  }
}

/** Redraws the screen until the user ends it. */
class Loop {
  #sort: Sort;
  /** Whether a read of the mount has begun and not ended. */
  #isReading = false;
  #isLate = false;
  #hasEnded = false;
  #end: () => void = () => undefined;
  /** Ends the present pause. */
  #wake: () => void = () => undefined;
  readonly #display = new Display(() => this.#draw(), {
    key: (key) => this.#key(key),
    end: () => this.#end(),
  });

  constructor(
    private readonly path: string,
    private readonly reading: Reading,
    private readonly options: TopOptions,
  ) {
    this.#sort = options.sort;
  }

  async run(): Promise<void> {
    const ended = new Promise<void>((done) => (this.#end = done));
    this.#display.open();
    try {
      await Promise.race([ended, this.#readForEver()]);
    } finally {
      this.#hasEnded = true;
      this.#wake();
      this.#display.close();
    }
    if (this.#isLate) this.#leave();
  }

  async #readForEver(): Promise<void> {
    while (!this.#hasEnded) {
      this.#draw();
      await new Promise<void>((wake) => {
        const timer = setTimeout(wake, this.options.interval * 1000);
        this.#wake = () => {
          clearTimeout(timer);
          wake();
        };
      });
      if (this.#hasEnded) return;
      const late = setTimeout(() => {
        this.#isLate = true;
        this.#draw();
      }, LATE_MS);
      try {
        this.#isReading = true;
        await this.reading.next();
      } finally {
        clearTimeout(late);
        this.#isReading = this.#isLate = false;
      }
    }
  }

  /**
   * Ends this process while the daemon does not answer. process.exit() would wait for the thread
   * that waits for the daemon; a signal ends that thread too.
   */
  #leave(): void {
    printError(`top: ${this.path}: its daemon does not answer (try eventfs umount ${this.path})`);
    process.removeAllListeners('SIGTERM');
    process.kill(process.pid, 'SIGTERM');
  }

  #key(key: string): void {
    if (key === 'q' || key === 'Q') return this.#end();
    if (key === ' ' && !this.#isReading) return this.#wake();
    if (key === 's' || key === 'S')
      this.#sort = SORTS[(SORTS.indexOf(this.#sort) + 1) % SORTS.length];
    else this.#sort = SORTS.find((sort) => sort.startsWith(key)) ?? this.#sort;
    this.#draw();
  }

  #draw(): void {
    if (this.#hasEnded) return;
    const bottom = this.#isLate
      ? 'the daemon does not answer; q quits'
      : `q quits, s sorts (by ${this.#sort})`;
    this.#display.show(this.reading.frame(this.#sort, bottom));
  }
}
