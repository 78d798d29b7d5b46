/** The table of open files, by the numbers by which the kernel calls them. */
import { Errno, FsError } from '../shared/errors.js';
import type { FileHandle, Handle, Node } from './nodes/node.js';
import type { QuotaAccount } from './quota/account.js';
import type { Recorder } from '../state/recorder.js';

/** The reason in an ESTALE. A constant, because a thousand readers may get one at once. */
const ENDED = 'the directory of the open file has ended, with its owner or by rmdir';

/** All open files. */
export class HandleTable {
  /** The index is the number by which the kernel calls the file; undefined if it is free. */
  readonly #handles: (Handle | undefined)[] = [];
  /** The free indices of `#handles`. */
  readonly #free: FileHandle[] = [];

  /** @param recorder records the open files; null without a guardian */
  constructor(private readonly recorder: Recorder | null = null) {}

  /** The number of open files. */
  get size(): number {
    return this.#handles.length - this.#free.length;
  }

  /**
   * Finds an open file.
   * @throws FsError ESTALE if the open node has ended, EBADF if no file has that number
   */
  get(fh: FileHandle): Handle {
    const handle = this.#handles[fh];
    if (handle === undefined) throw new FsError(Errno.EBADF, 'no open file has that number');
    if (handle.node.lifetime.over) throw new FsError(Errno.ESTALE, ENDED);
    return handle;
  }

  /** Returns whether the number is that of an open file whose directory has ended. */
  hasEnded(fh: FileHandle): boolean {
    return this.#handles[fh]?.node.lifetime.over === true;
  }

  /**
   * Enters an open file.
   * @param account the account that `chargeOpen` has charged
   * @param heap the charged memory, in bytes
   * @returns its number
   */
  enter(handle: Handle, account: QuotaAccount, heap: number): FileHandle {
    handle.chargedTo(account, heap);
    handle.node.opens++;
    const fh = this.#free.pop() ?? (this.#handles.length as FileHandle);
    this.#handles[fh] = handle;
    if (this.recorder !== null) handle.recordAs(fh, this.recorder);
    return fh;
  }

  /**
   * Enters an open file of the last daemon. `restored` must follow when all are entered.
   * @param fh the number by which the kernel calls it
   * @param handle the open file
   * @param account the account that pays it
   * @param heap the memory to charge, in bytes
   */
  restore(fh: FileHandle, handle: Handle, account: QuotaAccount, heap: number): void {
    account.forceCharge(0, 0, heap);
    handle.chargedTo(account, heap);
    handle.node.opens++;
    while (this.#handles.length <= fh) this.#handles.push(undefined);
    this.#handles[fh] = handle;
    handle.restoredAs(fh, this.recorder);
  }

  /** Frees the numbers that no restored file has. */
  restored(): void {
    const handles = this.#handles;
    for (let fh = handles.length - 1; fh >= 0; fh--)
      if (handles[fh] === undefined) this.#free.push(fh as FileHandle);
  }

  /** Iterates over all open files. */
  *[Symbol.iterator](): IterableIterator<Handle> {
    for (let fh = 0; fh < this.#handles.length; fh++) {
      const handle = this.#handles[fh];
      if (handle !== undefined) yield handle;
    }
  }

  /**
   * Removes an open file and refunds its memory.
   * @returns its node, which may have ended; undefined if no file has that number
   */
  leave(fh: FileHandle): Node | undefined {
    const handle = this.#handles[fh];
    if (handle === undefined) return undefined;
    this.#handles[fh] = undefined;
    this.#free.push(fh);
    if (this.#free.length === this.#handles.length) this.#handles.length = this.#free.length = 0;
    handle.node.opens--;
    if (this.recorder !== null) handle.forgetRecord();
    handle.release();
    handle.account?.refund(0, 0, handle.heap);
    return handle.node;
  }
}

/**
 * Charges the memory of an open file. If the mount has no memory left, root can use a reserve, to
 * look into the mount.
 * @param heap the open file's price, in bytes
 * @throws FsError EDQUOT if a quota of the user or group refuses it; ENFILE, as open(2) has it for
 * a limit of the whole system, if the mount has no memory left
 */
export function chargeOpen(account: QuotaAccount, heap: number): void {
  if (!account.tryChargeOpen(heap)) refuseOpen(account, heap);
}

/** Throws the error of an open(2) without memory. */
function refuseOpen(account: QuotaAccount, heap: number): never {
  try {
    account.chargeItem('memory', heap);
  } catch (error) {
    if (error instanceof FsError && error.errno === Errno.ENOSPC)
      throw new FsError(Errno.ENFILE, error.why);
    throw error;
  }
  throw new FsError(Errno.ENFILE, 'the memory of the mount is used up: close files first');
}
