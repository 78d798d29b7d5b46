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

const SEQNUM = Buffer.from('SEQNUM=');
/** The end of the headers of the daemon's own records. */
const OWN_DEVPATH = Buffer.from('@/eventfs');
const OVERFLOW = 'overflow';

/**
 * A buffer for the text of the uevent read last. One buffer is enough for all uevents, because the
 * log copies the bytes at once.
 */
export class UeventText {
  /** The text, and 8 bytes more: an escape may pass the limit before the check. */
  readonly bytes = new Uint8Array(MAX_EVENT_BYTES + 8);
  /** The text's length in bytes. */
  length = 0;
  /** The value of SEQNUM, or NO_SEQNUM if there is none. */
  seqnum = NO_SEQNUM;
  /** Whether overflow records are read: a fleet's mount has those of other hosts. */
  takesLosses = false;
  /** Whether the text is an overflow record. */
  isLoss = false;

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

  #read(data: Uint8Array, start: number, end: number, separator: number): void {
    this.length = 0;
    this.seqnum = NO_SEQNUM;
    this.isLoss = false;
    for (let at = start; at < end; at = this.#readLine(data, at, end, separator, at === start));
  }

  /** Copies one line, and returns the offset of the next line in `data`. */
  #readLine(
    data: Uint8Array,
    start: number,
    end: number,
    separator: number,
    header: boolean,
  ): number {
    const out = this.bytes;
    const lineStart = this.length;
    let to = lineStart;
    let mark = -1;
    let at = start;
    for (; at < end; at++) {
      const byte = data[at];
      if (byte === separator) break;
      if (to >= MAX_EVENT_BYTES) throw oversized();
      if (
        mark < 0 &&
        (header ? byte === AT && at + 1 < end && data[at + 1] === SLASH : byte === EQUALS)
      )
        mark = to;
      if (byte === LF) {
        if (header) throw new MalformedUevent('the first line contains a line end');
        out[to++] = BACKSLASH;
        out[to++] = 0x78;
        out[to++] = ZERO;
        out[to++] = 0x61;
      } else out[to++] = byte;
    }
    if (mark <= lineStart) {
      throw new MalformedUevent(
        header ? 'the first line is not ACTION@/DEVPATH' : 'a line is not KEY=VALUE',
      );
    }
    if (header && to - mark === OWN_DEVPATH.length) this.#refuseOwn(lineStart, mark);
    out[to++] = LF;
    if (to > MAX_EVENT_BYTES) throw oversized();
    this.length = to;
    if (!header && mark - lineStart === SEQNUM.length - 1) this.#noteSeqnum(lineStart, to - 1);
    return at + 1;
  }

  /** Refuses a header that is one of the daemon's records. Its `@` is at `mark` in `bytes`. */
  #refuseOwn(start: number, mark: number): void {
    for (let i = 0; i < OWN_DEVPATH.length; i++)
      if (this.bytes[mark + i] !== OWN_DEVPATH[i]) return;
    const action = Buffer.from(this.bytes.subarray(start, mark)).toString('latin1');
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
    `overflow@/eventfs\nACTION=overflow\nDEVPATH=/eventfs\nSUBSYSTEM=eventfs\nLOST=${lost}\n`,
  );
}
