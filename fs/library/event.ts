/** The events of the library: what the stream of a mount or a netlink socket holds, decoded. */
import { type EventText, lostOf, tellsOfLoss } from '../client/events/text.js';

/** One event of a device, or one that a program has published. */
export interface DeviceEvent {
  /** Tells an event from a {@link Loss}. */
  readonly type: 'event';
  /** The change, as in `add`, `remove`, `change`, `bind`. */
  readonly action: string;
  /** The device's path below `/sys`, which begins with a slash. */
  readonly devpath: string;
  /** The value of SUBSYSTEM. */
  readonly subsystem: string | undefined;
  /** The kernel's number of the event; undefined if a program has published it without one. */
  readonly seqnum: number | undefined;
  /**
   * All properties, ACTION and DEVPATH included; of a key that occurs more than once the last
   * value. Bytes that are not UTF-8 are U+FFFD here and in the other strings.
   */
  readonly properties: Readonly<Record<string, string | undefined>>;
  /** The event's text as its sender wrote it: `ACTION@DEVPATH`, then one `KEY=VALUE` a line. */
  readonly bytes: Uint8Array;
}

/**
 * A loss: `lost` events are missing here, because the subscriber or the daemon was too slow. A
 * program that keeps a list of devices reads it again from `/sys` then.
 */
export interface Loss {
  /** Tells a loss from a {@link DeviceEvent}. */
  readonly type: 'loss';
  /** The number of missing events; of all kinds, whatever the filter. */
  readonly lost: number;
}

/** One item of a {@link Subscription}: mostly an event. */
export type EventOrLoss = DeviceEvent | Loss;

/** Converts a parsed record. */
export function eventOrLoss(record: EventText): EventOrLoss {
  if (tellsOfLoss(record)) return { type: 'loss', lost: lostOf(record) };
  const decode = NOT_ASCII.test(record.text) ? decoded : same;
  // Without a prototype no key of an event is special.
  const properties = Object.create(null) as Record<string, string>;
  for (const [key, value] of record.properties) properties[decode(key)] = decode(value);
  const { SEQNUM = '' } = properties;
  const seqnum = /^\d+$/.test(SEQNUM) ? Number(SEQNUM) : NaN;
  return {
    type: 'event',
    action: decode(record.action),
    devpath: decode(record.devpath),
    subsystem: properties.SUBSYSTEM,
    seqnum: Number.isSafeInteger(seqnum) ? seqnum : undefined,
    properties,
    bytes: Buffer.from(record.text, 'latin1'),
  };
}

const NOT_ASCII = /[\x80-\xff]/;

function decoded(text: string): string {
  return Buffer.from(text, 'latin1').toString();
}

function same(text: string): string {
  return text;
}
