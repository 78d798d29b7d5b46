/** The charge for a process directory and its contents, and the account that pays it. */
import type { Entry, Queue } from '../../../bus/queue.js';
import { Errno, FsError } from '../../../shared/errors.js';
import type { Filter } from '../../../uevent/filter/filter.js';
import { LINK_BYTES, directoryPrice } from '../../prices.js';
import type { QuotaAccount } from '../../quota/account.js';
import { EventFile } from '../event-file.js';
import type { Node } from '../node.js';
import { SpecialFile } from '../special-file.js';
import type { SpecialFiles } from '../special-files.js';
import { heapOf } from '../../../bus/event.js';

/** A directory that a user is charged for. */
interface ChargedDirectory {
  readonly name: string;
  readonly queue: Queue<Entry>;
  readonly specials: SpecialFiles | null;
  readonly filter: Filter;
}

/** Returns the memory of an entry under a name besides the price of an entry, in bytes. */
function heapAs(node: Node, name: string): number {
  if (node instanceof EventFile) return heapOf(name, node.event);
  return node instanceof SpecialFile ? node.heapAs(name) : name.length;
}

/** The charge for one process directory. */
export class DirectoryCharge {
  #account: QuotaAccount;

  /** @param account the account that is charged for the directory */
  constructor(
    account: QuotaAccount,
    private readonly directory: ChargedDirectory,
  ) {
    this.#account = account;
  }

  /** The account that the directory and its contents are charged to. */
  get account(): QuotaAccount {
    return this.#account;
  }

  /** The number of events and special files. */
  get entries(): number {
    return this.directory.queue.entries.size + (this.directory.specials?.size ?? 0);
  }

  /** The memory charged for the directory and its contents, in bytes. */
  get memory(): number {
    const { name, queue, specials, filter } = this.directory;
    return (
      directoryPrice(name).memory +
      filter.memory +
      this.entries * LINK_BYTES +
      queue.heap +
      (specials?.heap ?? 0)
    );
  }

  /**
   * Refuses an entry of a user that does not fit, instead of dropping it without telling the user.
   * @param bytes the bytes of text
   * @param heap the memory besides the price of an entry each, in bytes
   * @throws FsError EDQUOT or ENOSPC
   */
  assertEntryFits(events: number, bytes: number, heap: number): void {
    this.#assertQueueTakes(events, bytes);
    this.#account.assertFits(events, bytes, heap);
  }

  /**
   * Refuses an entry if the queue has no room for it and does not drop its oldest event.
   * @throws FsError EDQUOT
   */
  #assertQueueTakes(events: number, bytes: number): void {
    const { queue } = this.directory;
    if (!queue.refuses(events, bytes)) return;
    const { limits, entries } = queue;
    throw new FsError(
      Errno.EDQUOT,
      `the queue holds ${entries.size} of ${limits.events} events and ${queue.bytes} of ${limits.bytes} bytes`,
    );
  }

  /**
   * Makes the checks of `assertEntryFits` for a file that comes from another directory.
   * @param from the charge of the other directory
   * @param replaced the entry that the file replaces here
   * @param newName the name of the file here
   * @throws FsError EDQUOT or ENOSPC
   */
  assertMoveFits(
    from: DirectoryCharge,
    file: EventFile | SpecialFile,
    replaced: Node | undefined,
    newName: string,
  ): void {
    const event = file instanceof EventFile ? file.event : undefined;
    const replacedEvent = replaced instanceof EventFile ? replaced.event : undefined;
    const bytes = (event?.length ?? 0) - (replacedEvent?.length ?? 0);
    if (event !== undefined) this.#assertQueueTakes(replacedEvent === undefined ? 1 : 0, bytes);
    const heap = heapAs(file, newName) - (replaced === undefined ? 0 : heapAs(replaced, newName));
    this.#account.assertFitsFrom(from.#account, replaced === undefined ? 1 : 0, bytes, heap);
  }

  /**
   * Charges a special file.
   * @param heap its memory besides the price of an entry, in bytes
   * @throws FsError EDQUOT or ENOSPC
   */
  chargeSpecial(heap: number): void {
    this.#account.assertFits(1, 0, heap);
    this.#account.forceCharge(1, 0, heap);
  }

  /**
   * Moves the charge for the directory and its contents to another account.
   * @throws FsError EDQUOT or ENOSPC if the amount does not fit that account
   */
  moveTo(account: QuotaAccount): void {
    const { queue, filter } = this.directory;
    this.#account.moveTo(account, {
      directories: 1,
      events: this.entries,
      bytes: queue.bytes,
      memory: this.memory,
      filter_cost: filter.cost,
    });
    this.#account = queue.quota = account;
  }

  /** Refunds the directory as one of the user's directories, but not its memory. */
  refundDirectory(): void {
    this.#account.refundItem('directories');
  }

  /** Charges the memory of the directory without its contents, even beyond a quota. */
  chargeOwnMemory(): void {
    this.#account.forceChargeItem('memory', directoryPrice(this.directory.name).memory);
  }

  /** Refunds the memory of the directory without its contents. */
  refundOwnMemory(): void {
    this.#account.refundItem('memory', directoryPrice(this.directory.name).memory);
  }
}
