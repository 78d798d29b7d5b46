/**
 * Records each reply before it is sent, together with all that the request has changed: so a
 * request that the kernel sends again after a restart is not carried out twice.
 *
 *   request --handler--> changes, reply --one commit--> the kernel
 *
 * A request that changes nothing records nothing.
 */
import { ControlWord } from '#native';
import { InHeader, Opcode, Size } from '../../fuse/abi.js';
import { Errno } from '../../shared/errors.js';
import type { Session } from '../../fuse/session.js';
import type { Recorder } from '../../state/recorder.js';
import type { ParkedRead } from '../../tree/nodes/node.js';
import { isOfFormerNotifier } from './former-notifier.js';
import type { Recovery } from './hand-over/recovery.js';
import { RESENT, uniqueOf } from './unique.js';

const UNIQUE = InHeader.unique >>> 2;
const OPCODE = InHeader.opcode >>> 2;
const PID = InHeader.pid >>> 2;
const NO_BYTES = new Uint8Array(0);

/** Returns whether such a request may come before resent ones without the bit. */
function comesAnyTime(opcode: number): boolean {
  return (
    opcode === Opcode.FUSE_FORGET ||
    opcode === Opcode.FUSE_BATCH_FORGET ||
    opcode === Opcode.FUSE_INTERRUPT
  );
}

function opensFile(opcode: number): boolean {
  return (
    opcode === Opcode.FUSE_OPEN || opcode === Opcode.FUSE_OPENDIR || opcode === Opcode.FUSE_CREATE
  );
}

/** Sends the errors of parked reads. */
interface FailedReads {
  failNow(read: ParkedRead, errno: number): void;
}

/** The transactions of one channel. */
export class Transactions {
  readonly #request: Uint32Array;
  readonly #reply: Int32Array;
  /** How far the `unique` of each other request is from that of the first with the same reply. */
  #others = new Int32Array(64);
  #isServing = false;
  /** Parked reads that a request has failed: their replies are sent after its own is recorded. */
  readonly #held: { readonly read: ParkedRead; readonly errno: number }[] = [];

  /**
   * @param request the memory of the request that is being served
   * @param reply the memory of replies
   * @param control memory that the channel shares: it carries the slice of a reply
   * @param recovery the replies of the last daemon
   * @param isStale tells of a request whether its recorded reply must not be sent any more
   */
  constructor(
    private readonly recorder: Recorder,
    request: Uint8Array,
    private readonly reply: Uint8Array,
    private readonly control: Uint32Array,
    private readonly recovery: Recovery,
    private readonly isStale: (request: Uint32Array) => boolean,
  ) {
    this.#request = new Uint32Array(request.buffer, request.byteOffset, request.length >>> 2);
    this.#reply = new Int32Array(reply.buffer, reply.byteOffset, reply.length >>> 2);
  }

  /**
   * Serves the request in memory, and records its reply.
   * @param length the request's length in bytes
   * @param reads sends the errors of parked reads
   * @returns the reply's length in bytes; 0 if there is no reply
   */
  serve(session: Session, length: number, reads: FailedReads): number {
    // The channel has sent all earlier replies before it calls for this request.
    if (this.recovery.isOver) this.recorder.sent();
    else {
      const repeated = this.#repeat(session, length);
      if (repeated > 0) return repeated;
    }
    this.#isServing = true;
    const replyLength = session.dispatch(length);
    this.#isServing = false;
    if (this.recorder.isDirty) this.#commit(replyLength);
    if (this.#held.length > 0) {
      for (const { read, errno } of this.#held) reads.failNow(read, errno);
      this.#held.length = 0;
    }
    return replyLength;
  }

  /**
   * Answers a request that the last daemon has carried out.
   * @returns the reply's length in bytes; 0 if it must be carried out now
   */
  #repeat(session: Session, length: number): number {
    const words = this.#request;
    if ((words[UNIQUE + 1] & RESENT) === 0) {
      if (!comesAnyTime(words[OPCODE])) this.recovery.end();
      return 0;
    }
    const recorded = this.recovery.reply(uniqueOf(words[UNIQUE], words[UNIQUE + 1]));
    if (recorded !== undefined && !this.isStale(words))
      return session.repeat(length, recorded.error, recorded.bytes);
    return isOfFormerNotifier(words[OPCODE], words[PID])
      ? session.repeat(length, -Errno.EINTR, NO_BYTES)
      : 0;
  }

  #commit(replyLength: number): void {
    if (replyLength > 0) {
      const { control } = this;
      const words = this.#request;
      this.recorder.reply(
        uniqueOf(words[UNIQUE], words[UNIQUE + 1]),
        this.#reply[1],
        this.reply,
        Size.fuse_out_header,
        replyLength - Size.fuse_out_header,
        control[ControlWord.sliceStart],
        control[ControlWord.sliceLength],
      );
      if (this.#reply[1] === 0 && opensFile(words[OPCODE]))
        this.recorder.opens(this.reply, replyLength);
    }
    this.recorder.commit();
  }

  /**
   * Records the reply to parked reads, which are answered with the same bytes.
   * @param uniques the `unique` of each slot, two words each
   * @param copied how many bytes of the reply are in the reply's memory behind the header; the
   *   slice in `control` follows them
   */
  answers(reads: readonly ParkedRead[], uniques: Uint32Array, copied: number): void {
    if (reads.length > this.#others.length) this.#others = new Int32Array(2 * reads.length);
    const others = this.#others;
    const first = 2 * reads[0].slot;
    const unique = uniqueOf(uniques[first], uniques[first + 1]);
    let count = 0;
    for (let n = 1; n < reads.length; n++) {
      const at = 2 * reads[n].slot;
      const other = uniqueOf(uniques[at], uniques[at + 1]);
      others[count] = other - unique;
      if (others[count] === other - unique) count++;
      else this.#answer(other, copied, others, 0); // billions of requests lie between the two
    }
    this.#answer(unique, copied, others, count);
    this.recorder.commit();
  }

  /** Records the reply in memory to a request, and to the first `count` others. */
  #answer(unique: number, copied: number, others: Int32Array, count: number): void {
    this.recorder.reply(
      unique,
      0,
      this.reply,
      Size.fuse_out_header,
      copied,
      this.control[ControlWord.sliceStart],
      this.control[ControlWord.sliceLength],
      others,
      count,
    );
  }

  /**
   * Records the error of a parked read.
   * @param uniques the `unique` of each slot, two words each
   * @param errno positive, as in errno(3)
   * @returns whether the error must not be sent yet: `serve` sends it with the reply to the request
   *   that has caused it
   */
  fails(read: ParkedRead, uniques: Uint32Array, errno: number): boolean {
    const at = 2 * read.slot;
    const unique = uniqueOf(uniques[at], uniques[at + 1]);
    this.recorder.reply(unique, -errno, NO_BYTES, 0, 0, 0, 0);
    if (this.#isServing) {
      this.#held.push({ read, errno });
      return true;
    }
    this.recorder.commit();
    return false;
  }

  /** Notes that the channel has sent all replies. */
  sent(): void {
    if (this.recovery.isOver && !this.#isServing) this.recorder.sent();
  }
}
