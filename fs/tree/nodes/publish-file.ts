/**
 * `publish`: a write(2) publishes one event, or several with an empty line behind each. Every queue
 * gets them.
 */
import type { Bus } from '../../bus/bus.js';
import {
  CopiedOverflow,
  MAX_EVENT_BYTES,
  MalformedUevent,
  OversizedUevent,
  UeventText,
} from '../../uevent/text.js';
import type { Caller } from '../../owners/owners.js';
import { Errno, FsError } from '../../shared/errors.js';
import type { Attributes, Handle, Lifetime, NodeId } from './node.js';
import { PublishHandle, type PublishTarget } from './open-file/publish-handle.js';
import { RootFile } from './root-file.js';
import { LF } from '../../shared/ascii.js';
import { SourceId } from '../../uevent/event-source.js';
import { TOO_LONG } from '../written/written-event.js';

const HOST = '\nHOST=';

/** The file `publish` of the root. */
export class PublishFile extends RootFile implements PublishTarget {
  /** The record that is being read. All writes share it. */
  readonly text = new UeventText();

  constructor(
    id: NodeId,
    lifetime: Lifetime,
    readonly bus: Bus,
  ) {
    super(id, lifetime, 0o200);
  }

  override open(_flags: number, caller: Caller): Handle {
    return new PublishHandle(this, caller.uid < 0 ? SourceId.unknown : caller.uid);
  }

  /**
   * stat(2): the size is that of the largest event. In the kernel a write that stays within the
   * size does not wait for other writes (fs/fuse/file.c, fuse_dio_wr_exclusive_lock), so publishers
   * do not wait for each other.
   */
  override attributes(to: Attributes): void {
    super.attributes(to);
    to.size = MAX_EVENT_BYTES;
  }

  /**
   * Checks a record without publishing it.
   * @param bytes the buffer that holds the record
   * @param start where the record begins in it
   * @param length in bytes; line ends behind the text may be among them
   * @throws FsError EINVAL if it is not an event, EFBIG if it is larger than an event may be
   */
  check(bytes: Uint8Array, start: number, length: number): void {
    this.#read(bytes, start, length, true);
  }

  /** Publishes a record of the user `uid`. Other parameters, and errors, are those of `check`. */
  take(bytes: Buffer, start: number, length: number, uid: number): void {
    this.takeOneOfMany(bytes, start, length, uid, true);
    this.bus.settleLater();
  }

  /**
   * Publishes a record that may be one of many. After the last one the caller calls
   * `bus.settleLater`. Parameters and errors are those of `take`.
   * @param hasNul false if the record has no NUL: a search costs a view of the bytes
   */
  takeOneOfMany(bytes: Buffer, start: number, length: number, uid: number, hasNul: boolean): void {
    if (this.#read(bytes, start, length, hasNul)) this.bus.publish(this.text, uid);
  }

  /** Returns whether the text names the host that it comes from. */
  #namesHost(): boolean {
    const { bytes, length } = this.text;
    return Buffer.from(bytes.buffer, bytes.byteOffset, length).includes(HOST);
  }

  /**
   * Reads a record into `text`. Parameters and errors are those of `takeOneOfMany`.
   * @returns false for an overflow record: a saved stream may have one, which is left out. Only a
   *   fleet's mount takes those of other hosts
   */
  #read(bytes: Uint8Array, start: number, length: number, mayBeDatagram: boolean): boolean {
    let end = start + length;
    while (end > start && bytes[end - 1] === LF) end--;
    if (end - start > MAX_EVENT_BYTES) throw new FsError(Errno.EFBIG, TOO_LONG);
    try {
      if (mayBeDatagram) this.text.readPublished(bytes, start, length);
      else this.text.readText(bytes, start, length);
      return !this.text.isLoss || this.#namesHost();
    } catch (error) {
      if (error instanceof CopiedOverflow) return false;
      if (error instanceof MalformedUevent) throw new FsError(Errno.EINVAL, error.message);
      if (error instanceof OversizedUevent) throw new FsError(Errno.EFBIG, error.message);
      throw error;
    }
  }
}
