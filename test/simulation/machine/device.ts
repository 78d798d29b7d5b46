/**
 * The kernel's end of /dev/fuse, as fs/fuse/dev.c has it: pending requests, interrupts and forgets,
 * the processing lists by hash, and FUSE_NOTIFY_RESEND.
 */
import * as assert from 'uvu/assert';
import { FUSE_NOTIFY_POLL } from '../../../fs/fuse/abi.js';
import { RESEND_BIT, RequestWriter, type SimReply, type SimRequest } from './request.js';

/** FUSE_PQ_HASH_BITS, and GOLDEN_RATIO_64 of linux/hash.h. */
const HASH_SHIFT = 64n - 8n;
const GOLDEN_RATIO = 0x61c8864680b583ebn;
const MASK_64 = 2n ** 64n - 1n;
const FUSE_NOTIFY_RESEND = 7;
const OUT_HEADER_BYTES = 16;
const TWO_32 = 2 ** 32;
/** fuse_dev_do_read(): how many forgets come in a row while requests are pending. */
const FORGET_BATCH = 16;
const FEWEST_FORGETS = -8;

const NOTHING = Buffer.alloc(0);

function bucketOf({ unique, isResent }: SimRequest): number {
  const whole = BigInt(unique) | (isResent ? 2n ** 63n : 0n);
  return Number(((whole * GOLDEN_RATIO) & MASK_64) >> HASH_SHIFT);
}

/** The message that the device has read for the daemon. */
export type Read =
  | { readonly kind: 'request'; readonly request: SimRequest }
  | { readonly kind: 'forget'; readonly nodes: readonly (readonly [number, number])[] }
  | { readonly kind: 'interrupt'; readonly request: SimRequest };

/** One FUSE connection. */
export class Device {
  /** The requests that no daemon has read since they were queued, oldest first. */
  pending: SimRequest[] = [];
  /** The requests that a daemon has read and not answered, in the order of the reads. */
  readonly processing = new Map<number, SimRequest>();
  interrupts: SimRequest[] = [];
  forgets: [nodeid: number, count: number][] = [];
  #forgetBatch = 0;
  #unique = TWO_32 * 3;
  /** The message that `read` has put into the memory last. */
  last: Read | null = null;

  /** @param onPoll called when the daemon wakes the pollers of a file, with its poll key */
  constructor(
    readonly writer: RequestWriter,
    private readonly onPoll: (key: number) => void,
  ) {}

  /** Whether the daemon can read something. */
  get isReadable(): boolean {
    return this.pending.length > 0 || this.interrupts.length > 0 || this.forgets.length > 0;
  }

  /** The requests that a daemon has read, and that have no reply. */
  get unanswered(): SimRequest[] {
    return [...this.processing.values(), ...this.pending.filter(({ isResent }) => isResent)];
  }

  /** Queues a request. */
  send(request: SimRequest): void {
    request.unique = this.#nextUnique();
    request.isPending = true;
    this.pending.push(request);
  }

  /** Queues a FORGET. */
  forget(nodeid: number, count: number): void {
    this.forgets.push([nodeid, count]);
  }

  /**
   * Interrupts the request: a signal comes for the process that waits for it.
   *
   * @returns true if the request was not sent yet and is gone
   */
  interrupt(request: SimRequest, isFatal: boolean): boolean {
    if (!request.isInterrupted) {
      request.isInterrupted = true;
      if (request.isSent) this.interrupts.push(request);
    }
    if (!isFatal || !request.isPending) return false;
    request.isPending = false;
    this.pending = this.pending.filter((other) => other !== request);
    return true;
  }

  #nextUnique(): number {
    return (this.#unique += 2);
  }

  /**
   * Reads as fuse_dev_do_read() does.
   *
   * @returns the length in bytes; 0 for EAGAIN
   */
  read(): number {
    const interrupted = this.interrupts.shift();
    if (interrupted !== undefined) {
      this.last = { kind: 'interrupt', request: interrupted };
      return this.writer.interrupt(interrupted);
    }
    if (this.forgets.length > 0) {
      if (this.pending.length === 0 || this.#forgetBatch-- > 0) return this.#readForgets();
      if (this.#forgetBatch <= FEWEST_FORGETS) this.#forgetBatch = FORGET_BATCH;
    }
    const request = this.pending.shift();
    if (request === undefined) {
      this.last = null;
      return 0;
    }
    request.isPending = false;
    request.isSent = true;
    this.processing.set(request.unique, request);
    if (request.isInterrupted) this.interrupts.push(request);
    this.last = { kind: 'request', request };
    return request.op === 'FUSE_INIT' ? this.writer.init(request) : this.writer.write(request);
  }

  #readForgets(): number {
    const nodes = this.forgets.splice(0);
    this.last = { kind: 'forget', nodes };
    return this.writer.forget(this.#nextUnique(), nodes);
  }

  /** Takes a reply or a notification, as write(2) of /dev/fuse does. */
  write(bytes: Uint8Array): void {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
    assert.is(words[0], bytes.length, 'the length in the header of a reply');
    const error = words[1] | 0;
    if (words[2] === 0 && words[3] === 0) return this.#notified(error, words);
    assert.ok(error <= 0 && error > -512, `a reply with the error ${error}`);
    assert.ok(error === 0 || bytes.length === OUT_HEADER_BYTES, 'an error with bytes behind it');
    const body =
      bytes.length === OUT_HEADER_BYTES
        ? NOTHING
        : Buffer.from(bytes.buffer, bytes.byteOffset + 16, bytes.length - 16);
    this.reply(words[2], words[3], { errno: -error, body });
  }

  /**
   * Takes a reply that the guardian sends.
   *
   * @returns the request; null, for ENOENT, if it has been answered
   */
  writeLeft(bytes: Uint8Array): SimRequest | null {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
    const request = this.processing.get(words[2] + ((words[3] & ~RESEND_BIT) >>> 0) * TWO_32);
    if (request === undefined || request.isResent !== ((words[3] & RESEND_BIT) !== 0)) return null;
    this.write(bytes);
    return request;
  }

  /** Takes the reply to the request with this `unique`. */
  reply(uniqueLow: number, uniqueHigh: number, reply: SimReply): void {
    const isResent = (uniqueHigh & RESEND_BIT) !== 0;
    const unique = uniqueLow + ((uniqueHigh & ~RESEND_BIT) >>> 0) * TWO_32;
    const request = this.processing.get(unique);
    if (request === undefined) return assert.unreachable(`a reply without a request: ${unique}`);
    assert.is(isResent, request.isResent, 'bit 63 of the unique in a reply');
    this.processing.delete(unique);
    request.reply = reply;
    if (request.isInterrupted)
      this.interrupts = this.interrupts.filter((other) => other !== request);
    request.onReply(reply);
  }

  #notified(code: number, words: Uint32Array): void {
    if (code === FUSE_NOTIFY_RESEND) return this.resend();
    assert.is(code, FUSE_NOTIFY_POLL, 'the code of a notification');
    this.onPoll(words[4] + words[5] * TWO_32);
  }

  /** fuse_resend(): queues what was read and not answered before what was not read. */
  resend(): void {
    const requests = [...this.processing.values()].map((request) => ({
      request,
      bucket: bucketOf(request),
    }));
    requests.sort((a, b) => a.bucket - b.bucket); // a stable sort: older ones first in a bucket
    this.processing.clear();
    for (const { request } of requests) {
      request.isPending = true;
      request.isSent = false;
      request.isResent = true;
    }
    // An interrupt that waits names a request; it is read before the request is read again.
    this.pending = [...requests.map(({ request }) => request), ...this.pending];
  }
}
