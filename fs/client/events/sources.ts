/**
 * Tells where the events of a stream come from. The text of an event does not tell it: a publisher
 * can write any property. So the reader opens one more stream for each source that the daemon has,
 * whose filter names that source. The daemon alone decides what comes through them
 * (docs/decisions/110-watch-sources.md).
 */
import { closeSync, constants, openSync } from 'node:fs';
import type { Filter } from '../../uevent/filter/filter.js';
import { OVERFLOW_HEADER } from '../../uevent/text.js';
import { readStatusFile } from '../status.js';
import { canBeName, readSome } from './stream.js';
import { type EventText, recordTexts, tellsOfLoss } from './text.js';

const READ_BYTES = 256 * 1024;
/**
 * The most texts of a source that wait: a stream of all its events may have more than the reader.
 */
const MOST_WAITING = 65_536;

/** The sources that number their events, each with a key of `log/.status` if the daemon has it. */
const NUMBERED = [
  ['kernel', 'KERNEL_BUFFER'],
  ['udev', 'UDEV_BUFFER'],
] as const;

/** Where an event comes from, without the user that published it. */
type Origin = 'kernel' | 'udev' | 'publish' | 'eventfs' | 'unknown';

/** The sources of the events of one stream. */
export class EventSources {
  readonly #streams: readonly SourceStream[];

  /**
   * Opens the streams. To be opened before the stream whose events are asked about.
   *
   * @param mount the mount's path
   * @param filter the events that are asked about
   * @throws SystemError with the errno of open(2) or read(2)
   */
  constructor(mount: string, filter: Filter) {
    const status = readStatusFile(`${mount}/log`);
    this.#streams = NUMBERED.filter(([, key]) => status.has(key)).map(
      ([name]) => new SourceStream(name, openAlone(mount, filter, name)),
    );
  }

  /** Reads the records that have come. To be called after each read of the stream. */
  tick(): void {
    for (const stream of this.#streams) stream.read();
  }

  /**
   * Returns the source of an event. To be called for the events of the stream in their order.
   *
   * @returns `unknown` if this reader was too slow to see all events of a source
   */
  of(event: EventText): Origin {
    if (tellsOfLoss(event)) return 'eventfs';
    const stream = this.#streams.find((one) => one.take(event.text));
    if (stream !== undefined) return stream.name;
    return this.#streams.some(({ hasLost }) => hasLost) ? 'unknown' : 'publish';
  }

  /** Closes the streams. */
  close(): void {
    for (const stream of this.#streams) stream.close();
  }
}

/** The events of one source, in order, that the reader has not met in its own stream yet. */
class SourceStream {
  /** Whether events were lost since the last one that the reader met. */
  hasLost = false;
  /** The texts of events that the reader has not met yet, oldest first, and how often each came. */
  readonly #waiting = new Map<string, number>();
  readonly #buffer = Buffer.alloc(READ_BYTES);

  constructor(
    readonly name: Origin,
    private readonly fd: number,
  ) {}

  read(): void {
    for (;;) {
      const length = readSome(this.fd, this.#buffer);
      if (length <= 0) return;
      for (const text of recordTexts(this.#buffer.subarray(0, length))) {
        if (text.startsWith(OVERFLOW_HEADER)) this.hasLost = true;
        else this.#waiting.set(text, (this.#waiting.get(text) ?? 0) + 1);
      }
      if (this.#waiting.size > MOST_WAITING) {
        this.#waiting.clear();
        this.hasLost = true;
      }
    }
  }

  /** Takes an event off, if it has come from this source. */
  take(text: string): boolean {
    const count = this.#waiting.get(text);
    if (count === undefined) return false;
    // Both streams have the same order: the reader has lost the events before this one.
    for (const older of this.#waiting.keys()) {
      if (older === text) break;
      this.#waiting.delete(older);
    }
    if (count === 1) this.#waiting.delete(text);
    else this.#waiting.set(text, count - 1);
    this.hasLost = false;
    return true;
  }

  close(): void {
    closeSync(this.fd);
  }
}

/**
 * Opens the stream of the filter's events from one source; of all its events if that is no name.
 */
function openAlone(mount: string, filter: Filter, source: Origin): number {
  const term = `SOURCE==${source}`;
  const wanted = filter.text
    .split('\n')
    .map((rule) => (rule === '' ? term : `${rule}, ${term}`))
    .join('\n');
  const name = canBeName(wanted) ? wanted : term;
  const path = Buffer.concat([Buffer.from(`${mount}/match/`), Buffer.from(name, 'latin1')]);
  return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
}
