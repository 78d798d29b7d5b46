/**
 * The events that this host has sent or will send, by number. The numbers count every event that
 * passed the filter, also those that the bridge's own queue has lost.
 *
 *   first <= acknowledged + 1 <= sent + 1 <= next        unless events were dropped unsent
 *
 * The oldest events go when the history is full. A message for them is an overflow record.
 */
import { MOST_PAYLOAD, lossRecord } from './payload.js';

/** The bounds of a history. */
export interface HistoryLimits {
  readonly bytes: number;
  readonly events: number;
}

/** The bounds of a message. */
export interface MessageLimits {
  /** The most bytes of several records. */
  readonly bytes: number;
  /** The most bytes of one record; a larger event is a loss. */
  readonly largest: number;
  readonly events: number;
}

/** A message to publish. */
export interface Message {
  readonly seq: number;
  readonly count: number;
  /** How many records the payload has. */
  readonly records: number;
  readonly payload: Buffer;
}

/** An event, or a loss of `weight` events. */
interface Kept {
  readonly seq: number;
  readonly weight: number;
  /** The record with the empty line that ends it. */
  readonly record: Buffer;
}

/** The longest record of a loss. */
const LOSS_BYTES = lossRecord(Number.MAX_SAFE_INTEGER).length;

/** The history of one session. */
export class History {
  /** The number of the next event. */
  next: number;
  /** All events up to here are acknowledged by the broker. */
  acknowledged: number;
  /** All events up to here were handed to the connection. */
  sent: number;
  /** How many events were dropped before the broker had them. */
  droppedUnsent = 0;
  #kept: Kept[] = [];
  /** The place of the oldest event in `#kept`: places before it are empty. */
  #head = 0;
  #bytes = 0;

  /** @param next the number of the first event */
  constructor(
    private readonly limits: HistoryLimits,
    next = 1,
  ) {
    this.next = next;
    this.acknowledged = next - 1;
    this.sent = next - 1;
  }

  /** The number of the oldest event that is kept; `next` if there is none. */
  get first(): number {
    return this.#head < this.#kept.length ? this.#kept[this.#head].seq : this.next;
  }

  /** How many bytes the kept events have. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Adds an event or a loss.
   *
   * @param record with the empty line that ends it
   * @param weight how many events it stands for
   */
  add(record: Buffer, weight: number): void {
    this.#kept.push({ seq: this.next, weight, record });
    this.#bytes += record.length;
    this.next += weight;
    while (
      this.#kept.length - this.#head > this.limits.events ||
      (this.#bytes > this.limits.bytes && this.#head < this.#kept.length)
    )
      this.#drop();
  }

  #drop(): void {
    const { seq, weight, record } = this.#kept[this.#head];
    if (seq > this.sent) this.droppedUnsent += weight;
    this.#bytes -= record.length;
    this.#head++;
    // Half of the places are empty: moving the rest costs at most one step an event.
    if (this.#head > 64 && this.#head * 2 > this.#kept.length) {
      this.#kept = this.#kept.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Takes the next message that was not sent. @returns null if there is none */
  take(limits: MessageLimits): Message | null {
    const message = this.range(this.sent + 1, this.next, limits);
    if (message !== null) this.sent = message.seq + message.count - 1;
    return message;
  }

  /** Notes that the broker has all events before `seq`. */
  acknowledge(seq: number): void {
    this.acknowledged = Math.max(this.acknowledged, seq - 1);
  }

  /** Sends the events again that are not acknowledged: the connection is new. */
  rewind(): void {
    this.sent = this.acknowledged;
  }

  /**
   * Makes one message of a range, or of the beginning of it.
   *
   * @param from the number of the first event
   * @param to the number behind the last event
   * @returns null if the range is empty
   */
  range(from: number, to: number, limits: MessageLimits): Message | null {
    const end = Math.min(to, this.next);
    if (from >= end) return null;
    const records: Buffer[] = [];
    let bytes = 0;
    let seq = from;
    const put = (record: Buffer, upTo: number): boolean => {
      const most = records.length === 0 ? limits.largest : limits.bytes;
      if (bytes + record.length > most || records.length >= limits.events) return false;
      records.push(record);
      bytes += record.length;
      seq = upTo;
      return true;
    };
    if (seq < this.first) {
      const upTo = Math.min(this.first, end);
      put(lossRecord(upTo - seq), upTo);
    }
    for (let at = this.#find(seq); seq < end && at < this.#kept.length; at++) {
      const { seq: own, weight, record } = this.#kept[at];
      const upTo = Math.min(own + weight, end);
      const isWhole = own === seq && upTo === own + weight && record.length <= limits.largest;
      if (!put(isWhole ? record : lossRecord(upTo - seq), upTo)) break;
    }
    const payload = Buffer.concat(records, bytes);
    return { seq: from, count: seq - from, records: records.length, payload };
  }

  /** Returns the place of the event with this number, or of the loss that has it. */
  #find(seq: number): number {
    let low = this.#head;
    let high = this.#kept.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#kept[middle].seq + this.#kept[middle].weight <= seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The bounds of a message by default: what one read of a busy stream mostly has. */
export const MESSAGE_LIMITS: MessageLimits = {
  bytes: MOST_PAYLOAD - LOSS_BYTES,
  largest: MOST_PAYLOAD,
  events: 1024,
};
