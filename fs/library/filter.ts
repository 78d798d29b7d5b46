/** The filter of the library: text in, text out, and a match. */
import { parseEvent, tellsOfLoss } from '../client/events/text.js';
import { FilterError, Filter as ParsedFilter } from '../uevent/filter/filter.js';
import { EventfsError } from './errors.js';
import type { DeviceEvent } from './event.js';

/** Returns the parsed form of a filter, for other files of the library. */
export let parsedFilter: (filter: Filter) => ParsedFilter;

/**
 * A filter in udev's match syntax, as in `SUBSYSTEM==block, ID_BUS==usb`. An invalid text
 * throws at once, and not when the first event comes.
 *
 * @example
 * ```ts
 * const disks = new Filter('SUBSYSTEM==block, DEVTYPE==disk');
 * for await (const event of subscribe({ filter: disks })) console.log(event);
 * ```
 */
export class Filter {
  static {
    parsedFilter = (filter) => filter.#parsed;
  }

  readonly #parsed: ParsedFilter;

  /**
   * Parses a filter.
   *
   * @param text the filter; an empty text takes every event
   * @throws EventfsError `BAD_FILTER` with the column and the expected token
   */
  constructor(text: string) {
    if (typeof text !== 'string')
      throw new EventfsError('BAD_FILTER', 'bad filter: it is not a string (use a string)');
    try {
      this.#parsed = ParsedFilter.parse(Buffer.from(text, 'utf8').toString('latin1'));
    } catch (error) {
      if (!(error instanceof FilterError)) throw error;
      throw new EventfsError('BAD_FILTER', `bad filter: ${error.message}`, { cause: error });
    }
  }

  /** The filter in its canonical form: one rule a line. */
  get text(): string {
    return Buffer.from(this.#parsed.text, 'latin1').toString();
  }

  /** Returns whether the filter takes an event of {@link subscribe}. */
  matches(event: Pick<DeviceEvent, 'bytes'>): boolean {
    const { buffer, byteOffset, byteLength } = event.bytes;
    const parsed = parseEvent(Buffer.from(buffer, byteOffset, byteLength).toString('latin1'));
    return tellsOfLoss(parsed) || this.#parsed.matches(parsed);
  }

  /** Returns {@link text}. */
  toString(): string {
    return this.text;
  }
}
