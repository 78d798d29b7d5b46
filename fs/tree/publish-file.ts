/** `publish`: each write(2) is one event, or several with an empty line behind each, and every queue gets them. */
import type { Bus } from '../events/bus.js';
import { MAX_EVENT_BYTES, MalformedUevent, OversizedUevent, UeventText } from '../events/uevent.js';
import { Errno, FsError } from '../errno.js';
import { Handle, Poll } from './handle.js';
import type { Attributes, Lifetime, NodeId } from './node.js';
import { textHeap } from './prices.js';
import { RootFile } from './root-file.js';

export class PublishFile extends RootFile {
  readonly text = new UeventText();

  constructor(
    id: NodeId,
    lifetime: Lifetime,
    readonly bus: Bus,
  ) {
    super(id, lifetime, 0o200);
  }

  override open(): Handle {
    return new PublishHandle(this);
  }

  /**
   * Its size is that of the largest event: a write that stays within the size does not wait for others in the kernel
   * (fs/fuse/file.c, fuse_dio_wr_exclusive_lock), so publishers do not wait for each other.
   */
  override attributes(to: Attributes): void {
    super.attributes(to);
    to.size = MAX_EVENT_BYTES;
  }

  /** Reads an event and publishes it, or only reads it: EINVAL when it is none, EFBIG when it is too large. */
  take(bytes: Uint8Array, publish: boolean): void {
    this.#read(bytes, 0, bytes.length);
    if (!publish) return;
    this.bus.publish(this.text);
    this.bus.settleLater();
  }

  /**
   * Publishes records, each ended by an empty line: what one read of a stream gives can be written as it is. Gives how many bytes it
   * took: up to the first record that is none, or that is not ended behind others, for the kernel may have cut it. As `take` where that is the first.
   */
  takeAll(bytes: Buffer): number {
    let taken = 0;
    try {
      while (taken < bytes.length) {
        const end = bytes.indexOf(EMPTY_LINE, taken);
        if (end < 0 && taken > 0) break;
        let next = end < 0 ? bytes.length : end + EMPTY_LINE.length;
        this.#read(bytes, taken, next - taken);
        this.bus.publish(this.text);
        while (bytes[next] === LF) next++;
        taken = next;
      }
    } catch (error) {
      if (taken === 0) throw error;
    }
    this.bus.settleLater();
    return taken;
  }

  #read(bytes: Uint8Array, start: number, length: number): void {
    try {
      this.text.readPublished(bytes, start, length);
    } catch (error) {
      if (error instanceof MalformedUevent) throw new FsError(Errno.EINVAL, error.message);
      if (error instanceof OversizedUevent) throw new FsError(Errno.EFBIG, error.message);
      throw error;
    }
  }
}

const EMPTY_LINE = Buffer.from('\n\n');

const LF = 0x0a;
const NUL = 0;

/**
 * An open `publish`. bash writes what its builtins print line by line, a write(2) each. So a write that is nothing but
 * a header waits for the properties that the next writes may bring, until another header, an empty line or close(2).
 */
class PublishHandle extends Handle {
  #begun: Buffer | null = null;

  constructor(override readonly node: PublishFile) {
    super(node);
  }

  /** Every write begins at 0, wherever the last has ended. */
  override get isStream(): boolean {
    return true;
  }

  /** EINVAL when the bytes are no uevent and continue none, EFBIG when they are more than one may have. */
  override write(bytes: Uint8Array, start: number, length: number): number {
    if (length > 2 * MAX_EVENT_BYTES) throw new FsError(Errno.EFBIG);
    const written = Buffer.from(bytes.buffer, bytes.byteOffset + start, length);
    if (this.#begun !== null && !beginsEvent(written)) {
      this.#goOn(this.#begun, written);
      return length;
    }
    const isHeader = lineEnd(written) >= length - 1 && !written.includes(NUL);
    if (!isHeader) {
      this.#finish();
      return written.includes(NUL) ? this.#takeOne(written) : this.node.takeAll(written);
    }
    this.node.take(written, false);
    this.#finish();
    this.#keep(written);
    return length;
  }

  #takeOne(written: Buffer): number {
    this.node.take(written, true);
    return written.length;
  }

  #goOn(begun: Buffer, written: Buffer): void {
    if (written.every((byte) => byte === LF)) return this.#finish();
    this.#drop(); // of an event with a line that is none, nothing is published
    const text = Buffer.concat([begun, Buffer.from(begun[begun.length - 1] === LF ? '' : '\n'), written]);
    this.node.take(text, false);
    this.#keep(text);
  }

  /** Keeps what may go on. Not the memory it stands in, which the next request overwrites, nor Buffer's pool. EDQUOT, ENOSPC. */
  #keep(text: Buffer): void {
    this.chargeHeap(textHeap(text.length));
    this.#begun = Buffer.allocUnsafeSlow(text.length);
    text.copy(this.#begun);
  }

  #drop(): void {
    if (this.#begun !== null) this.chargeHeap(-textHeap(this.#begun.length));
    this.#begun = null;
  }

  #finish(): void {
    const begun = this.#begun;
    this.#drop();
    if (begun !== null) this.node.take(begun, true);
  }

  override poll(): number {
    return Poll.out | Poll.writeNormal;
  }

  override release(): void {
    this.#finish();
  }
}

function lineEnd(text: Buffer): number {
  const end = text.indexOf(LF);
  return end < 0 ? text.length : end;
}

/** Whether the first line is `ACTION@/DEVPATH` rather than `KEY=VALUE`. */
function beginsEvent(text: Buffer): boolean {
  const line = text.subarray(0, lineEnd(text));
  const at = line.indexOf('@/');
  const equals = line.indexOf('=');
  return at >= 0 && (equals < 0 || at < equals);
}
