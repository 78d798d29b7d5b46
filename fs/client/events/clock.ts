/**
 * Tells when the events of a stream came. A stream's record has no time, so that a read stays a
 * slice of the log: docs/decisions/097-watch-times.md.
 *
 * - An event that comes while the reader waits has the time of the read.
 * - An event that a queue held before the first read, as with `--since`, has the modification time
 *   of its file: the daemon sets it when the event comes.
 */
import { lstatSync } from 'node:fs';
import { isSystemError } from '../../shared/errors.js';
import { eventNames, eventPath, sourceOf } from './files.js';
import { type EventText, tellsOfLoss } from './text.js';

const MS_PER_SECOND = 1000;
const US_PER_SECOND = 1_000_000;
const NS_PER_US = 1000;

/** When an event came. */
export interface EventTime {
  /** CLOCK_REALTIME, in seconds since the epoch; whole milliseconds. */
  readonly time: number;
  /** CLOCK_MONOTONIC, in seconds since the machine's start; whole microseconds. */
  readonly monotonic: number;
}

/** The time of an event, and the facts that the file of a kept event tells. */
interface Arrival extends EventTime {
  /** As {@link sourceOf} returns it; missing if the event has no file. */
  readonly source?: string;
}

/** A file of an event that waits in a queue. */
interface Waiting {
  readonly name: string;
  /** The text's length in bytes. */
  readonly size: number;
  /** In milliseconds since the epoch. */
  readonly modified: number;
  readonly source: string;
}

/** The times of the events of one stream. */
export class EventClock {
  /** The files that the queue held at the start and that no record was found for, oldest first. */
  #waiting: readonly Waiting[];
  #now: Arrival = { time: 0, monotonic: 0 };

  /** @param directory the process directory whose `.stream` is read; null for a shared stream */
  constructor(directory: string | null) {
    this.#waiting = directory === null ? [] : waitingIn(directory);
    this.tick();
  }

  /** Takes the current time. To be called once after each read. */
  tick(): void {
    const [sec, ns] = process.hrtime();
    this.#now = {
      time: Date.now() / MS_PER_SECOND,
      monotonic: rounded(sec + Math.floor(ns / NS_PER_US) / US_PER_SECOND),
    };
  }

  /** Returns when an event came. To be called for the events of a stream in their order. */
  of(event: EventText): Arrival {
    if (this.#waiting.length === 0) return this.#now;
    const at = this.#waiting.findIndex((file) => isFileOf(file, event));
    // A queue's own overflow record has no file, and the events behind it still wait.
    if (tellsOfLoss(event) && at !== 0) return this.#now;
    const file = this.#waiting[at];
    this.#waiting = at < 0 ? [] : this.#waiting.slice(at + 1);
    if (at < 0) return this.#now;
    const time = file.modified / MS_PER_SECOND;
    const monotonic = rounded(this.#now.monotonic - (this.#now.time - time));
    return { time, monotonic, source: file.source };
  }
}

function rounded(seconds: number): number {
  return Math.round(seconds * US_PER_SECOND) / US_PER_SECOND;
}

function isFileOf({ name, size }: Waiting, event: EventText): boolean {
  const seqnum = event.property('SEQNUM');
  // The text of a record lacks its last line end.
  if (size !== event.text.length + 1) return false;
  return seqnum === undefined || name === seqnum || name.startsWith(`${seqnum}.`);
}

function waitingIn(directory: string): Waiting[] {
  return eventNames(directory).flatMap((name) => lookAt(directory, name) ?? []);
}

/** Returns null if the queue has dropped the event since. */
function lookAt(directory: string, name: string): Waiting | null {
  const path = eventPath(directory, name);
  try {
    const { size, mtimeMs: modified } = lstatSync(path);
    return { name, size, modified, source: sourceOf(path) };
  } catch (error) {
    if (isSystemError(error)) return null;
    throw error;
  }
}
