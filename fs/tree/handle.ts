/** What every open file has in common. */
import type { Sink } from '../bus/sink.js';
import { MAX_EVENT_BYTES } from '../uevent/text.js';
import { Errno, FsError } from '../shared/errors.js';
import type { Node } from './nodes/node.js';
import { restHeap } from './prices.js';
import type { Tab } from './quota.js';

declare const fileHandle: unique symbol;
/** What the kernel calls an open file by: fuse_open_out.fh. */
export type FileHandle = number & { readonly [fileHandle]: true };

/** Readiness, as in poll(2). */
export const Poll = { in: 0x001, out: 0x004, error: 0x008, hangUp: 0x010, readNormal: 0x040, writeNormal: 0x100 } as const;
/** A regular file is always ready. */
export const ALWAYS_READY = Poll.in | Poll.out | Poll.readNormal | Poll.writeNormal;

/** The offset of a write with O_APPEND: where the end is, the kernel does not know. */
export const APPEND = -1;

/** A read(2) that waits for an event. Plain data: the driver knows the request by `slot`. */
export interface ParkedRead {
  readonly slot: number;
  readonly handle: Handle;
  /** The most bytes it takes. */
  readonly size: number;
}

export abstract class Handle {
  /** By which the kernel wakes who polls it (fuse_poll_in.kh), as two words; set while somebody does. */
  pollKeyLow = 0;
  pollKeyHigh = 0;
  /** Where it is charged since it has a number, and how many bytes of memory. */
  tab: Tab | null = null;
  heap = 0;

  /** For how many bytes of a record that was read in part it is charged. */
  #rest = 0;

  constructor(readonly node: Node) {}

  /** Whether it is a stream: cannot be seeked, and reads block. */
  get isStream(): boolean {
    return false;
  }

  /** read(2). False, with nothing put, when there is nothing yet and the caller must wait: only streams do that. */
  read(_offset: number, _sink: Sink): boolean {
    throw new FsError(Errno.EINVAL);
  }

  /**
   * Whether all that a read would hand over has come since those who wait were told last. They will be told soon, and more may
   * have come by then: a read that may wait does so with them.
   */
  get isFresh(): boolean {
    return false;
  }

  /** Charges the opener `more` bytes of memory, or less. EDQUOT, ENOSPC. */
  protected chargeHeap(more: number): void {
    if (more > 0) this.tab?.claim('memory', more);
    else this.tab?.unclaim('memory', -more);
    this.heap += more;
  }

  /**
   * Before a stream is read. Where there is no room for a whole record, what did not fit is kept for the next read, which must not
   * be refused: so this one is. EDQUOT, ENOSPC.
   */
  protected demandRest(room: number): void {
    const { tab } = this;
    if (room <= MAX_EVENT_BYTES && tab !== null && !tab.takes('memory', MAX_EVENT_BYTES)) tab.claim('memory', MAX_EVENT_BYTES);
  }

  /** How many bytes are kept of a record that was read in part. */
  get restLength(): number {
    return 0;
  }

  /** Charges what is kept of a record now. */
  chargeRest(): void {
    const rest = this.restLength;
    if (rest === this.#rest) return;
    const more = restHeap(rest) - restHeap(this.#rest);
    this.#rest = rest;
    this.tab?.forceClaim('memory', more);
    this.heap += more;
  }

  /** write(2), at the end when `offset` is {@link APPEND}; gives how many bytes it took. */
  write(_bytes: Uint8Array, _start: number, _length: number, _offset: number): number {
    throw new FsError(Errno.EINVAL);
  }

  /** The read waits from now on until the tree answers it through the door. */
  park(_read: ParkedRead): void {
    throw new FsError(Errno.EAGAIN);
  }

  /** The read has been interrupted: it waits no more. */
  unpark(_read: ParkedRead): void {}

  /** poll(2): what it is ready for. */
  poll(): number {
    return ALWAYS_READY;
  }

  /** Somebody polls it and wants to be told through the door when `poll` would say more. */
  watch(): void {}

  /** The last descriptor is closed. */
  release(): void {}
}
