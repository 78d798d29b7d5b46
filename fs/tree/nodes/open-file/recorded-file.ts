/** An open file, as the state of the daemon records it for a later one. */
import type { Journal } from '../../../state/journal.js';
import type { Recorded, Recorder } from '../../../state/recorder.js';
import { type Fields, Kind } from '../../../state/schema.js';
import type { UringReads } from '../../uring-reads.js';
import { UringFile } from './uring-file.js';

/** The types of open files, by the names that the state has for them. */
export type HandleType =
  'directory' | 'event' | 'filter' | 'publish' | 'queue' | 'since' | 'stream' | 'text' | 'ended';

/** The node of an open file, as far as a record names it. */
interface RecordedNode {
  readonly id: number;
  /** The node id of the directory that the node is in; 0 if the node's own id finds it. */
  readonly parentId: number;
  /** The name there. */
  readonly nameInParent: string;
}

/** The number of an open file that is not in the table. */
const NO_NUMBER = -1;
const NO_BYTES = new Uint8Array(0);

/** An open file whose state a later daemon can restore (fs/tree/restore/handles.ts). */
export abstract class RecordedFile extends UringFile implements Recorded {
  /** Whether the next commit records the file. */
  isMarked = false;
  /**
   * The key by which the kernel wakes pollers of this file (fuse_poll_in.kh), as two 32-bit words.
   * It is set once a process has polled.
   */
  pollKeyLow = 0;
  pollKeyHigh = 0;
  /** The number by which the kernel calls the file. */
  #fh = NO_NUMBER;
  #recorder: Recorder | null = null;

  abstract readonly node: RecordedNode;

  /** The type of the open file: a later daemon makes one of the same type. */
  abstract get recordType(): HandleType;

  /** The type's own numbers, separated by spaces. */
  protected get recordNumbers(): string {
    return '';
  }

  /** The type's own bytes. */
  protected get recordBytes(): Uint8Array {
    return NO_BYTES;
  }

  /** The number by which the kernel calls the file; -1 if it is not recorded. */
  protected get fh(): number {
    return this.#fh;
  }

  /** Records the changes of the file; null without a guardian, and after the file's end. */
  protected get recorder(): Recorder | null {
    return this.#recorder;
  }

  /**
   * Begins to record the file.
   * @param fh the number by which the kernel calls it
   */
  recordAs(fh: number, recorder: Recorder): void {
    this.#fh = fh;
    this.#recorder = recorder;
    recorder.changed(this);
  }

  /**
   * Notes that the state has the file already.
   * @param fh the number by which the kernel calls it
   */
  restoredAs(fh: number, recorder: Recorder | null): void {
    this.#fh = fh;
    this.#recorder = recorder;
  }

  /** Drops the records of the file: it is closed. */
  forgetRecord(): void {
    const recorder = this.#recorder;
    if (recorder === null) return;
    recorder.dropped(Kind.handle, this.#fh);
    if (this.uring !== null) {
      this.uring.fh = NO_NUMBER;
      recorder.dropped(Kind.uring, this.#fh);
    }
    this.#recorder = null;
  }

  /** Makes the next commit record the file. */
  protected changed(): void {
    this.#recorder?.changed(this);
  }

  /** Writes the records of the file. */
  record(journal: Journal): void {
    if (this.#recorder === null) return;
    const { node, account } = this;
    const bytes = this.recordBytes;
    journal
      .begin(Kind.handle)
      .number(this.#fh)
      .text(this.recordType)
      .number(node.id)
      .number(node.parentId)
      .text(node.nameInParent)
      .number(account?.uid ?? 0)
      .number(account?.gid ?? 0)
      .number(this.heapWithoutRest)
      .number(this.pollKeyLow)
      .number(this.pollKeyHigh)
      .text(this.recordNumbers)
      .bytes(bytes, 0, bytes.length)
      .end();
    this.uring?.record(journal);
  }

  /**
   * Notes the key by which the kernel wakes pollers.
   * @param low the lower 32 bits of fuse_poll_in.kh
   * @param high the upper 32 bits
   */
  polledBy(low: number, high: number): void {
    if (this.pollKeyLow === low && this.pollKeyHigh === high) return;
    this.pollKeyLow = low;
    this.pollKeyHigh = high;
    this.changed();
  }

  /** Restores the place of a reader and the rest of a record from the last daemon. */
  restorePlace(_place: Fields<'cursor'>): void {}

  /** Whether a process has polled the file. */
  get hasPollKey(): boolean {
    return this.pollKeyLow !== 0 || this.pollKeyHigh !== 0;
  }

  /** Makes the next commit record what the daemon knows of the file's reads by io_uring. */
  protected override uringChanged(uring: UringReads): void {
    if (this.#recorder === null) return;
    uring.fh = this.#fh;
    this.#recorder.changed(uring);
  }

  /** Runs when the memory that the file is charged for has changed. */
  protected override heapChanged(): void {
    this.changed();
  }
}
