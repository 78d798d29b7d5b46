/** The text of events as commands see it: `ACTION@DEVPATH`, then `KEY=VALUE` lines; bytes as characters. */
import { Filter, FilterError } from '../uevent/filter/filter.js';
import { UserError } from '../shared/errors.js';
import { LF } from '../shared/ascii.js';

export interface EventText {
  readonly text: string;
  readonly action: string;
  readonly devpath: string;
  /** All of them in their order: a key may come more than once. */
  readonly properties: readonly (readonly [string, string])[];
  /** The value of a key; the last where it comes more than once, as for udev. */
  property(key: string): string | undefined;
}

/** Every filter lets it pass: it says how many events are missing in LOST. */
export function tellsOfLoss({ action, devpath }: EventText): boolean {
  return action === 'overflow' && devpath === '/eventfs';
}

/** A read of a stream is whole records, and an empty line ends each. */
export function* records(bytes: Buffer): Generator<EventText> {
  for (let start = 0; start < bytes.length;) {
    let end = bytes.indexOf('\n\n', start);
    if (end < 0) end = bytes.length;
    yield parseEvent(bytes.toString('latin1', start, end));
    for (start = end; bytes[start] === LF; start++);
  }
}

export function parseEvent(text: string): EventText {
  const [header, ...lines] = text.split('\n').filter((line) => line !== '');
  const at = (header ?? '').indexOf('@/');
  const properties = lines.map(
    (line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const,
  );
  return {
    text,
    action: header?.slice(0, at) ?? '',
    devpath: header?.slice(at + 1) ?? '',
    properties,
    property: (key) => properties.findLast(([name]) => name === key)?.[1],
  };
}

/** A filter that a person has typed. Throws {@link UserError} with the column and what was expected there. */
export function parseFilter(typed: string): Filter {
  try {
    return Filter.parse(Buffer.from(typed, 'utf8').toString('latin1'));
  } catch (error) {
    if (error instanceof FilterError) throw new UserError(`bad filter: ${error.message}`);
    throw error;
  }
}
