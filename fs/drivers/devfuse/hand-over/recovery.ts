/**
 * The time after a restart in which the kernel sends the requests again that the last daemon may
 * not have answered: bit 63 of `unique` marks them (FUSE_NOTIFY_RESEND, fs/fuse/dev.c). They come
 * before all others, in no order.
 *
 * A request that the last daemon has carried out is answered from its record, without carrying it
 * out again. The time ends with the first request without the bit, or when the device is empty.
 */
import type { Recorder } from '../../../state/recorder.js';
import type { StateTable } from '../../../state/table.js';

/** A reply that the last daemon has recorded and maybe not sent. */
interface RecordedReply {
  /** 0, or a negative errno. */
  readonly error: number;
  /** The bytes behind the header. */
  readonly bytes: Uint8Array;
}

/** The recorded replies, until no request asks for them any more. */
export class Recovery {
  readonly #replies = new Map<number, RecordedReply>();
  /**
   * The last reply of the last daemon that opens a file, with its header; null if there is none. If
   * the guardian has not sent it, this daemon does so before FUSE_NOTIFY_RESEND.
   */
  readonly leftReply: Uint8Array | null = null;
  #isOver: boolean;
  #calls: (() => void)[] = [];

  /**
   * Takes the replies of the last daemon from its state.
   * @param recorder writes that state from now on; null without a guardian
   * @param table the state; null if there was no daemon before
   */
  constructor(
    private readonly recorder: Recorder | null = null,
    table: StateTable | null = null,
  ) {
    this.#isOver = recorder === null || table === null;
    if (recorder === null || table === null) return;
    const { sent, ring, leftReply } = recorder.journal.layout;
    this.leftReply = leftReply;
    let last = sent;
    /** The replies whose text must be copied: a third daemon would not find it in the ring. */
    const sliced: (RecordedReply & { unique: number; others: Int32Array })[] = [];
    for (const record of table.all('reply')) {
      last = Math.max(last, record.transaction);
      if (record.transaction <= sent) continue;
      const { unique, sliceStart, sliceLength } = record;
      // A copy: the ring overwrites the slice when events come.
      const slice = ring.subarray(sliceStart, sliceStart + sliceLength);
      const reply = { error: record.error, bytes: Buffer.concat([record.bytes, slice]) };
      // A copy, because its place must be a multiple of 4
      const others = new Int32Array(new Uint8Array(record.others).buffer);
      this.#replies.set(unique, reply);
      for (const distance of others) this.#replies.set(unique + distance, reply);
      if (sliceLength > 0) sliced.push({ unique, others, ...reply });
    }
    recorder.hold(last);
    for (const { unique, error, bytes, others } of sliced)
      recorder.reply(unique, error, bytes, 0, bytes.length, 0, 0, others, others.length);
  }

  /** Whether the kernel has sent all requests again. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Returns the reply that the last daemon has recorded for a request, or undefined.
   * @param unique the request's number, without the bit of a resent one
   */
  reply(unique: number): RecordedReply | undefined {
    return this.#replies.get(unique);
  }

  /** Begins the time anew: this daemon has the kernel send all requests again. */
  again(): void {
    this.#isOver = false;
  }

  /** Calls a function when the time is over: at once if it is over already. */
  whenOver(call: () => void): void {
    if (this.#isOver) call();
    else this.#calls.push(call);
  }

  /** Forgets the recorded replies: no request will ask for them any more. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#replies.clear();
    this.recorder?.letGo();
    const calls = this.#calls;
    this.#calls = [];
    for (const call of calls) call();
  }
}
