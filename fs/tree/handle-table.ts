/** The table of open files, by the numbers by which the kernel calls them. */
import { Errno, FsError } from '../shared/errors.js';
import type { FileHandle, Handle } from './nodes/node.js';
import type { QuotaAccount } from './quota/account.js';

/** The reason in an ESTALE. A constant, because a thousand readers may get one at once. */
const ENDED = 'the directory of the open file has ended, with its owner or by rmdir';

/** All open files. */
export class HandleTable {
  /** The index is the number by which the kernel calls the file; undefined if it is free. */
  readonly #handles: (Handle | undefined)[] = [];
  /** The free indices of `#handles`. */
  readonly #free: FileHandle[] = [];

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

  /**
   * Enters an open file.
   * @param account the account that `chargeOpen` has charged
   * @param heap the charged memory, in bytes
   * @returns its number
   */
  enter(handle: Handle, account: QuotaAccount, heap: number): FileHandle {
    handle.chargedTo(account, heap);
    handle.node.opens++;
    const free = this.#free.pop();
    if (free === undefined) return (this.#handles.push(handle) - 1) as FileHandle;
    this.#handles[free] = handle;
    return free;
  }

  /** Removes an open file and refunds its memory. */
  leave(fh: FileHandle): void {
    const handle = this.#handles[fh];
    if (handle === undefined) return;
    this.#handles[fh] = undefined;
    this.#free.push(fh);
    if (this.#free.length === this.#handles.length) this.#handles.length = this.#free.length = 0;
    handle.node.opens--;
    handle.release();
    handle.account?.refund(0, 0, handle.heap);
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
