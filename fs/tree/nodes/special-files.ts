/**
 * The special files of one directory. They are not events and have no place in the order of the
 * queue.
 */
import type { EventQuota } from '../../bus/quota.js';
import { Sequence } from '../../bus/sequence.js';
import type { Recorder } from '../../state/recorder.js';
import type { SpecialFile } from './special-file.js';

/** The queue whose account is charged for the special files too. */
interface ChargedQueue {
  readonly quota: EventQuota | null;
}

/** The FIFOs, sockets and symlinks of one directory. */
export class SpecialFiles {
  readonly entries = new Sequence<SpecialFile>();
  #heap = 0;

  /**
   * @param directory the node id of the directory
   * @param recorder records the files for a later daemon; null if there will be none
   */
  constructor(
    private readonly queue: ChargedQueue,
    private readonly directory: number,
    private readonly recorder: Recorder | null,
  ) {}

  /** The number of files. */
  get size(): number {
    return this.entries.size;
  }

  /** The memory that the files are charged besides the price of an entry each, in bytes. */
  get heap(): number {
    return this.#heap;
  }

  /** Finds a file. */
  get(name: string): SpecialFile | undefined {
    return this.entries.get(name);
  }

  /** Adds a file. The caller has already charged the account for it. */
  put(file: SpecialFile): void {
    const position = this.entries.push(file.name, file);
    this.#heap += file.heap;
    file.joined(this.recorder, this.directory, position);
  }

  /** Adds a file at the position that it had in another daemon, and charges it. */
  restore(file: SpecialFile, position: number): void {
    this.entries.restore(position, file.name, file);
    this.#heap += file.heap;
    this.queue.quota?.forceCharge(1, 0, file.heap);
    file.joined(this.recorder, this.directory, position);
  }

  /**
   * Takes a file out and refunds it.
   * @returns the file, or undefined if no file has that name
   */
  take(name: string): SpecialFile | undefined {
    return this.#refund(this.entries.delete(name));
  }

  /**
   * Takes the oldest file out and refunds it.
   * @returns the file, or undefined if there is none
   */
  shift(): SpecialFile | undefined {
    return this.#refund(this.entries.shift());
  }

  #refund(file: SpecialFile | undefined): SpecialFile | undefined {
    if (file === undefined) return undefined;
    this.#heap -= file.heap;
    file.left();
    this.queue.quota?.refund(1, 0, file.heap);
    return file;
  }

  /** Renames a file to a name that is free, and adapts the charge without a check. */
  rename(file: SpecialFile, newName: string): void {
    const { name } = file;
    const longer = file.heapAs(newName) - file.heap;
    file.moveTo(newName, file.lifetime);
    this.#heap += longer;
    this.queue.quota?.forceCharge(0, 0, longer);
    this.entries.rename(name, newName);
  }
}
