/**
 * The text of an event as commands see it: `ACTION@DEVPATH`, then `KEY=VALUE` lines; one character
 * for each byte.
 */
import { Filter, FilterError } from '../../uevent/filter/filter.js';
import { EventValues, type Properties } from '../../uevent/values.js';
import { argumentBytes } from '../../shared/argument-bytes.js';
import { UsageError } from '../../shared/errors.js';
import { LF } from '../../shared/ascii.js';

/** One event, parsed. */
export interface EventText {
  readonly text: string;
  readonly action: string;
  readonly devpath: string;
  /** All properties, in order. A key may occur more than once. */
  readonly properties: readonly (readonly [string, string])[];
  /** The way by which the event came, for filters with SOURCE. The text does not tell it. */
  readonly source?: string;
  /** Returns the value of a key: the last one if the key occurs more than once, as in udev. */
  property(key: string): string | undefined;
}

/**
 * Tells whether an event is an overflow record: its {@link lostOf} tells how many events are
 * missing. Every filter lets it pass.
 */
export function tellsOfLoss({ action, devpath }: EventText): boolean {
  return action === 'overflow' && devpath === '/eventfs';
}

/** Returns how many events are missing where an overflow record is: at least 1. */
export function lostOf(loss: EventText): number {
  const lost = Number(loss.property('LOST'));
  return Number.isSafeInteger(lost) && lost > 0 ? lost : 1;
}

/**
 * Parses what one read of a stream returned.
 *
 * @param bytes whole records; an empty line ends each
 */
export function* records(bytes: Buffer): Generator<EventText> {
  for (const text of recordTexts(bytes)) yield parseEvent(text);
}

/**
 * Splits what one read of a stream returned.
 *
 * @param bytes whole records; an empty line ends each
 * @returns the text of each event without its last line end, one character for each byte
 */
export function* recordTexts(bytes: Buffer): Generator<string> {
  for (let start = 0; start < bytes.length;) {
    let end = bytes.indexOf('\n\n', start);
    if (end < 0) end = bytes.length;
    yield bytes.toString('latin1', start, end);
    for (start = end; bytes[start] === LF; start++);
  }
}

/** The properties of an event, in order. A key may occur more than once. */
class PropertyList implements Properties {
  readonly list: (readonly [string, string])[] = [];

  get(key: string): string | undefined {
    return this.list.findLast(([name]) => name === key)?.[1];
  }

  set(key: string, value: string): void {
    this.list.push([key, value]);
  }
}

/**
 * Parses the text of one event.
 *
 * @param text one character for each byte
 * @param source the way by which the event came, if the caller knows it
 * @returns the event. If its first line has no `@/`, action and devpath are empty.
 */
export function parseEvent(text: string, source?: string): EventText {
  const { action, devpath, properties } = new EventValues(text, new PropertyList());
  return {
    text,
    action,
    devpath,
    properties: properties.list,
    ...(source !== undefined && { source }),
    property: (key) => properties.get(key),
  };
}

/**
 * Parses a filter of the command line.
 *
 * @throws UsageError with the column and what was expected there
 */
export function parseFilter(typed: string): Filter {
  try {
    return Filter.parse(argumentBytes(typed));
  } catch (error) {
    if (error instanceof FilterError) throw new UsageError(`bad filter: ${error.message}`);
    throw error;
  }
}
