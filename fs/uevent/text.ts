/**
 * Converts the bytes that the kernel or a program sends into an event's text.
 *
 *   datagram   = header NUL *( property NUL )        lib/kobject_uevent.c,
 *                                                    kobject_uevent_net_broadcast()
 *   published  = header LF *( property LF ) [ LF ]   or a datagram, byte for byte
 *   header     = ACTION "@" DEVPATH                  DEVPATH begins with "/"
 *   property   = KEY "=" VALUE                       KEY is not empty
 *   text       = header LF *( property LF )          a LF inside a datagram's value becomes \x0a,
 *                                                    four characters
 */
import { AT, BACKSLASH, EQUALS, LF, NINE, NUL, SLASH, ZERO } from '../shared/ascii.js';

/** The largest event, in bytes of text (docs/design.md, section 3). */
export const MAX_EVENT_BYTES = 64 * 1024;

/** The bytes are not a uevent. The message says why. Other events are not affected. */
export class MalformedUevent extends Error {}

/** The bytes are an overflow record, which only the daemon makes. */
export class CopiedOverflow extends MalformedUevent {}

/** The bytes are a uevent, but its text exceeds {@link MAX_EVENT_BYTES}. */
export class OversizedUevent extends Error {}

declare const seqnum: unique symbol;
/**
 * A kernel SEQNUM (lib/kobject_uevent.c: a 64-bit counter that starts at 1 when the machine boots,
 * far below 2^53).
 */
export type SeqNum = number & { readonly [seqnum]: true };

/** The SEQNUM of an event that has none: NaN, so it is neither above nor below any other. */
export const NO_SEQNUM = NaN as SeqNum;

/** The bytes of a line that a loop finds the end of sooner than a call of Node's. */
const SHORT_LINE = 64;
const SEQNUM = Buffer.from('SEQNUM=');
/** The end of the headers of the daemon's own records. */
const OWN_DEVPATH = Buffer.from('@/eventfs');
const OVERFLOW = 'overflow';
/** The first line of an overflow record. */
export const OVERFLOW_HEADER = `${OVERFLOW}${OWN_DEVPATH.toString()}\n`;
/** No host loses more events at once. It bounds the sums, which are exact up to 2^53. */
const MOST_LOST = 2 ** 32;

/**
 * A buffer for the text of the uevent read last. One buffer is enough for all uevents, because the
 * log copies the bytes at once.
 */
export class UeventText {
  /** The text, and 8 bytes more: an escape may pass the limit before the check. */
  readonly bytes = Buffer.alloc(MAX_EVENT_BYTES + 8);
  /** The text's length in bytes. */
  length = 0;
  /** The value of SEQNUM, or NO_SEQNUM if there is none. */
  seqnum = NO_SEQNUM;
  /** Whether overflow records are read: a fleet's mount has those of other hosts. */
  takesLosses = false;
  /** Whether the text is an overflow record. */
  isLoss = false;

  /** How many lost events the overflow record states: at least 1, at most 2^32. */
  get lost(): number {
    const lost = /\nLOST=([0-9]+)\n/.exec(this.bytes.toString('latin1', 0, this.length))?.[1];
    return Math.min(MOST_LOST, Math.max(1, Number(lost ?? 1)));
  }

  /**
   * Reads a netlink datagram of the kernel (lib/kobject_uevent.c).
   * @param data the memory that holds it
   * @param start its offset in `data`
   * @param length its length in bytes
   * @throws MalformedUevent if it is not a uevent
   * @throws OversizedUevent if its text exceeds {@link MAX_EVENT_BYTES}
   */
  readDatagram(data: Uint8Array, start: number, length: number): void {
    if (length === 0) throw new MalformedUevent('the event is empty');
    if (data[start + length - 1] !== NUL)
      throw new MalformedUevent('the datagram does not end with a NUL');
    this.#read(data, start, start + length, NUL);
  }

  /**
   * Reads the bytes that a program wrote to `publish`: text, or a datagram if they contain a NUL.
   * @param data the memory that holds them
   * @param start their offset in `data`
   * @param length how many bytes
   * @throws MalformedUevent if they are not a uevent
   * @throws OversizedUevent if the text exceeds {@link MAX_EVENT_BYTES}
   */
  readPublished(data: Uint8Array, start: number, length: number): void {
    if (data.subarray(start, start + length).includes(NUL)) this.readDatagram(data, start, length);
    else this.readText(data, start, length);
  }

  /**
   * Reads the text that a program wrote to `publish`.
   * @param data the memory that holds it, without a NUL
   * @param start its offset in `data`
   * @param length how many bytes
   * @throws MalformedUevent if it is not a uevent
   * @throws OversizedUevent if it exceeds {@link MAX_EVENT_BYTES}
   */
  readText(data: Uint8Array, start: number, length: number): void {
    let end = start + length;
    // A text may have its last line unended, or end with the empty line of a stream's record.
    while (end > start && data[end - 1] === LF) end--;
    if (end === start) throw new MalformedUevent('the event is empty');
    this.#read(data, start, end, LF);
  }

  /** Reads the lines of an event, each ended by `separator` or by the end of the event. */
  #read(data: Uint8Array, start: number, end: number, separator: number): void {
    this.length = 0;
    this.seqnum = NO_SEQNUM;
    this.isLoss = false;
    const { bytes } = this;
    const length = this.#copy(data, start, end, separator);
    // It ends the last line, and with that the loops over the line.
    bytes[length] = separator;
    let at = 0;
    while (at < length) {
      const mark = at === 0 ? this.#findDevpath(separator) : this.#findValue(at, separator);
      const lineEnd = this.#findEnd(mark, separator);
      if (at === 0) this.#checkHeader(mark, lineEnd);
      else if (mark - at === SEQNUM.length - 1) this.#noteSeqnum(at, lineEnd);
      bytes[lineEnd] = LF;
      at = lineEnd + 1;
    }
    if (at > MAX_EVENT_BYTES) throw oversized();
    this.length = at;
  }

  /**
   * Copies the bytes of an event to `bytes`, with each LF inside a datagram's value as `\x0a`.
   * @returns how many bytes `bytes` has
   */
  #copy(data: Uint8Array, start: number, end: number, separator: number): number {
    const length = end - start;
    if (length > MAX_EVENT_BYTES) throw oversized();
    this.bytes.set(data.subarray(start, end));
    if (separator === LF) return length;
    this.bytes[length] = LF;
    const first = this.bytes.indexOf(LF);
    return first === length ? length : this.#escape(data, start, end, first);
  }

  /** Copies a datagram from its first LF on, at `first`: `bytes` has the part before it. */
  #escape(data: Uint8Array, start: number, end: number, first: number): number {
    const { bytes } = this;
    if (bytes.lastIndexOf(NUL, first) < 0)
      throw new MalformedUevent('the first line contains a line end');
    let to = first;
    for (let at = start + first; at < end; at++) {
      if (to >= MAX_EVENT_BYTES) throw oversized();
      if (data[at] === LF) {
        bytes[to++] = BACKSLASH;
        bytes[to++] = 0x78;
        bytes[to++] = ZERO;
        bytes[to++] = 0x61;
      } else bytes[to++] = data[at];
    }
    return to;
  }

  /** Returns the offset in `bytes` of the `@` of the header. */
  #findDevpath(separator: number): number {
    const { bytes } = this;
    let mark = 0;
    while (bytes[mark] !== separator && (bytes[mark] !== AT || bytes[mark + 1] !== SLASH)) mark++;
    if (mark === 0 || bytes[mark] === separator)
      throw new MalformedUevent('the first line is not ACTION@/DEVPATH');
    return mark;
  }

  /** Returns the offset in `bytes` of the `=` of the property at `start`. */
  #findValue(start: number, separator: number): number {
    const { bytes } = this;
    let mark = start;
    while (bytes[mark] !== EQUALS && bytes[mark] !== separator) mark++;
    if (mark === start || bytes[mark] === separator)
      throw new MalformedUevent('a line is not KEY=VALUE');
    return mark;
  }

  /** Returns where the line ends. */
  #findEnd(mark: number, separator: number): number {
    const { bytes } = this;
    const to = mark + SHORT_LINE;
    for (let at = mark; at < to; at++) if (bytes[at] === separator) return at;
    return bytes.indexOf(separator, to);
  }

  /** Refuses a header that is one of the daemon's records. Its `@` is at `mark` in `bytes`. */
  #checkHeader(mark: number, end: number): void {
    if (end - mark !== OWN_DEVPATH.length) return;
    for (let i = 0; i < OWN_DEVPATH.length; i++)
      if (this.bytes[mark + i] !== OWN_DEVPATH[i]) return;
    const action = this.bytes.toString('latin1', 0, mark);
    this.isLoss = action === OVERFLOW && this.takesLosses;
    if (this.isLoss) return;
    throw new (action === OVERFLOW ? CopiedOverflow : MalformedUevent)(
      'the devpath /eventfs belongs to the daemon',
    );
  }

  /** Sets `seqnum` if the property from `start` to `end` in `bytes` is SEQNUM. */
  #noteSeqnum(start: number, end: number): void {
    for (let i = 0; i < SEQNUM.length; i++) if (this.bytes[start + i] !== SEQNUM[i]) return;
    let value = 0;
    const digits = start + SEQNUM.length;
    if (digits === end) throw new MalformedUevent('the value of SEQNUM is empty');
    for (let at = digits; at < end; at++) {
      const byte = this.bytes[at];
      if (byte < ZERO || byte > NINE)
        throw new MalformedUevent('the value of SEQNUM is not a number');
      value = value * 10 + (byte - ZERO);
    }
    if (value > Number.MAX_SAFE_INTEGER)
      throw new MalformedUevent('the value of SEQNUM is above 2^53 - 1');
    this.seqnum = value as SeqNum;
  }
}

function oversized(): OversizedUevent {
  return new OversizedUevent(`the event has more than ${MAX_EVENT_BYTES} bytes of text`);
}

/** Returns the text of the overflow record for `lost` events. */
export function overflowText(lost: number): Buffer {
  return Buffer.from(
    `${OVERFLOW_HEADER}ACTION=overflow\nDEVPATH=/eventfs\nSUBSYSTEM=eventfs\nLOST=${lost}\n`,
  );
}
