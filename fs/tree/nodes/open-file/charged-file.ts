/** The charge for an open file. */
import { MAX_EVENT_BYTES } from '../../../uevent/text.js';
import { restHeap } from '../../prices.js';
import type { QuotaAccount } from '../../quota/account.js';

/** An open file that an account is charged for. */
export abstract class ChargedFile {
  /** The account that the tree charges for the handle, from the time when it has a file handle. */
  account: QuotaAccount | null = null;
  /** The memory charged for the handle, in bytes. */
  heap = 0;

  /** The number of kept bytes of a partly read record for which the account is charged. */
  #rest = 0;

  /**
   * Names the account that the tree has charged for the open file.
   * @param heap the charged memory, in bytes
   */
  chargedTo(account: QuotaAccount, heap: number): void {
    this.account = account;
    this.heap = heap;
  }

  /**
   * Charges the opener for memory.
   * @param more in bytes; a negative number refunds
   * @throws FsError EDQUOT or ENOSPC
   */
  protected chargeHeap(more: number): void {
    const { account } = this;
    if (more < 0) account?.refund(0, 0, -more);
    else if (account?.tryCharge(0, 0, more) === false) account.chargeItem('memory', more);
    this.heap += more;
  }

  /** The charged memory without that of the rest of a record, in bytes. */
  get heapWithoutRest(): number {
    return this.heap - restHeap(this.#rest);
  }

  /**
   * A stream calls this before each read. If a record does not fit `room`, the handle keeps the
   * rest of the record for the next read, and charges the opener for it. This read fails if the
   * opener cannot be charged, because the next read must not fail.
   * @param room the bytes that the read takes
   * @throws FsError EDQUOT or ENOSPC
   */
  protected assertRestFits(room: number): void {
    const { account } = this;
    if (room > MAX_EVENT_BYTES || account === null) return;
    if (account.fitsItem('memory', MAX_EVENT_BYTES)) return;
    if (!account.fitsForReading(MAX_EVENT_BYTES)) account.chargeItem('memory', MAX_EVENT_BYTES);
  }

  /** The number of bytes that the handle keeps of a partly read record. */
  get restLength(): number {
    return 0;
  }

  /** Adapts the charge to the number of bytes that the handle now keeps. It never fails. */
  chargeRest(): void {
    const rest = this.restLength;
    if (rest === this.#rest) return;
    const more = restHeap(rest) - restHeap(this.#rest);
    this.#rest = rest;
    this.account?.forceCharge(0, 0, more);
    this.heap += more;
  }
}
