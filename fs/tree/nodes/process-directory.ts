/**
 * Process directories. A process directory belongs to one process, is a queue, and ends with the
 * process.
 */
import type { Timestamp } from '../../shared/timestamp.js';
import { Queue } from '../../bus/queue.js';
import type { Caller, Mortal, Owner } from '../../owners/owners.js';
import { Errno } from '../../shared/errors.js';
import type { StatusLines } from '../../shared/status-lines.js';
import type { Journal } from '../../state/journal.js';
import type { Recorded } from '../../state/recorder.js';
import { type Fields, Kind } from '../../state/schema.js';
import { timeOf } from '../../state/times.js';
import type { TreeContext } from '../context.js';
import type { Ghost } from '../inotify/ghosts.js';
import type { QuotaAccount } from '../quota/account.js';
import type { Task } from '../turns.js';
import { PERMISSION_BITS } from './attributes.js';
import type { DirectoryNames } from './directory-names.js';
import { StatusFile } from './fixed/text-file.js';
import { IMMORTAL, Lifetime, type Node, type NodeId } from './node.js';
import { ReceivingDirectory } from './process/receiving-directory.js';
import { directoryFields, ghostFields } from './process/directory-record.js';
import { describeDirectory, directoryStatus } from './process/directory-status.js';
import { isRemovable } from './process/removable.js';
import {
  type AttributedDirectory,
  attributeNames,
  attributeValue,
  removeAttribute,
  setAttribute,
} from './process/xattrs.js';

/** How much of an ended directory one step handles: about 10 us of work. */
const READERS_A_STEP = 8;
const EVENTS_A_STEP = 32;
/** The arena moves up to ten bytes for each that is freed: 0.1 ms for the largest event. */
const TEXT_A_STEP = 4096;

/** The parent that ends the directories: the root. */
export interface DirectoryParent {
  /** Ends a directory whose owner is dead and that is not sticky. */
  ownerDied(directory: ProcessDirectory): void;
  readonly names: Pick<DirectoryNames<ProcessDirectory>, 'nameForNotifier'>;
}

/** A directory that belongs to one process and ends with it. */
export class ProcessDirectory
  extends ReceivingDirectory
  implements Mortal, Task, Ghost, AttributedDirectory, Recorded
{
  isMarked = false;
  /** The position in the root. */
  position = -1;
  /** Whether the directory stays after its owner has died. */
  #isSticky = false;
  /** Whether the directory has been told that the owner is dead. */
  #isOrphaned = false;
  /**
   * Whether the first `step` after the end has run: the directory gets no events, and the tree has
   * disowned its nodes.
   */
  #isDetached = false;

  /**
   * @param parent ends the directory when its owner dies
   * @param name bytes as characters
   * @param owner the process that the directory belongs to
   * @param mode permissions
   * @param account the account to charge; its uid and gid are those of the directory
   */
  constructor(
    context: TreeContext,
    private readonly parent: DirectoryParent,
    id: NodeId,
    override readonly name: string,
    readonly owner: Owner,
    mode: number,
    account: QuotaAccount,
    /** The uid of the user that made the directory. chown(2) does not change it. */
    readonly madeBy: number,
    born?: Timestamp,
  ) {
    super(
      context,
      id,
      new Lifetime(owner),
      new Queue(context.settings.queueLimits, account, () => this.fileComplete()),
      mode & PERMISSION_BITS,
      account,
      born,
    );
    this.recordChange();
  }

  protected override recordChange(): void {
    this.context.recorder?.changed(this);
    this.queue.journal?.hasChanged();
  }

  /** Writes the record of the directory, without its entries. */
  record(journal: Journal): void {
    if (this.lifetime.isEnded) return; // `end` has dropped it
    const { own, start, listedTo } = this;
    journal.put('directory', directoryFields(this, own, { start, listedTo }, this.#isOrphaned));
  }

  /** Sets the times of an event that came after the directory was recorded. */
  contentsChanged(time: Timestamp): void {
    this.own.contentsChanged(time);
  }

  /** Restores the times that the directory had in an earlier daemon. */
  restoreTimes(modified: Timestamp, changed: Timestamp): void {
    Object.assign(this.own, { modified, changed });
  }

  /**
   * Restores the state that the directory had in an earlier daemon. The filter comes with
   * `setFilter`.
   */
  restore(state: Fields<'directory'>): void {
    this.position = state.position;
    this.#stay(state.isSticky === 1);
    this.#isOrphaned = state.isOrphaned === 1;
    this.own.accessed = timeOf(state, 'accessed');
    this.restorePermitted(timeOf(state, 'permitted'));
    this.filtered = timeOf(state, 'filtered');
    this.start.restore(state);
    this.listedTo = state.listedTo;
  }

  override get nameForNotifier(): string {
    return this.parent.names.nameForNotifier(this);
  }

  protected override makeFixture(name: string): Node | undefined {
    return name === '.status'
      ? new StatusFile(this.fixtureId(name), this, name)
      : super.makeFixture(name);
  }

  override listXattrs(): readonly string[] {
    return attributeNames(this);
  }

  /**
   * getxattr(2).
   * @throws FsError ENODATA if the directory has no attribute of that name
   */
  override getXattr(name: string): string {
    return attributeValue(this, name) ?? super.getXattr(name);
  }

  /**
   * setxattr(2).
   * @throws FsError EOPNOTSUPP for a name without a meaning here; and the errors of `setAttribute`
   */
  override setXattr(name: string, value: string, caller: Caller): void {
    if (!setAttribute(this, name, value, caller)) super.setXattr(name, value, caller);
  }

  /**
   * removexattr(2).
   * @throws FsError ENODATA if the directory has no attribute of that name; and the errors of
   * `removeAttribute`
   */
  override removeXattr(name: string, caller: Caller): void {
    if (!removeAttribute(this, name, caller)) super.removeXattr(name, caller);
  }

  /** Whether the directory stays after its owner has died. */
  get isSticky(): boolean {
    return this.#isSticky;
  }

  /**
   * Makes the directory sticky, or makes it end with its owner: at once, if the owner is dead.
   */
  setSticky(isSticky: boolean): void {
    const { owner } = this;
    const isOwned = owner.disown(this);
    this.#stay(isSticky);
    if (isOwned && !owner.isDead) owner.own(this);
    this.recordChange();
    if (!isSticky && this.isOrphaned) this.ownerDied();
  }

  #stay(isSticky: boolean): void {
    this.#isSticky = isSticky;
    this.lifetime.owner = isSticky ? IMMORTAL : this.owner;
  }

  /**
   * Whether rmdir(2) may remove the directory: it is empty, or holds only delivered events that
   * came after the last listing. Otherwise `rm -r` of a live queue would fail whenever an event
   * comes between its last unlink and its rmdir.
   */
  get removable(): boolean {
    return isRemovable(this.queue.entries, this.listedTo);
  }

  /** Whether the owner is dead and the directory stays because it is sticky. */
  get isOrphaned(): boolean {
    return this.#isOrphaned || this.owner.isDead;
  }

  /** Returns what the death of the owner does to the directory, in words, for the trace. */
  describe(): string {
    return describeDirectory(this, this.charge.memory);
  }

  /**
   * Runs some time after the owner's death: removes the directory unless it is sticky. No process
   * reaches it or what it held since the owner was marked as dead.
   */
  ownerDied(): void {
    this.#isOrphaned = true;
    this.recordChange();
    if (this.#isSticky) return;
    this.parent.ownerDied(this);
  }

  /**
   * Ends the directory in one step: ends its lifetime, which every lookup, handle and blocked read
   * depends on. `step` later fails the blocked reads, wakes the pollers and frees the
   * memory.
   */
  end(): void {
    this.lifetime.isEnded = true;
    this.queue.journal = null;
    this.context.recorder?.dropped(Kind.directory, this.id);
    this.context.deliveries.noteEnd(this.queue.lost);
    this.context.recorder?.counted();
    this.context.inotify.ended(this);
    // The user may make another directory at once; the contents are charged until they are freed.
    this.charge.refundDirectory();
    this.context.turns.add(this);
  }

  /**
   * Fails some blocked reads, wakes some pollers and frees some memory of a directory that has
   * ended (see Turns).
   * @returns whether all of it is done
   */
  step(): boolean {
    const { context } = this;
    if (!this.#isDetached) {
      this.#isDetached = true;
      this.stopReceiving();
      this.letGoOfNodes();
      return false;
    }
    if (
      !this.readers.failSome(context.port, Errno.ESTALE, READERS_A_STEP) ||
      !this.freeSome(EVENTS_A_STEP, TEXT_A_STEP)
    )
      return false;
    this.charge.refundOwnMemory();
    return true;
  }

  /**
   * Charges the memory that the ended directory keeps until the notifier has removed it
   * (fs/tree/inotify/ghosts.ts).
   */
  chargeGhost(): void {
    this.charge.chargeOwnMemory();
    const { recorder } = this.context;
    if (recorder === null) return;
    recorder.wrote();
    this.recordGhost(recorder.journal);
  }

  /** Writes the record of the ghost. */
  recordGhost(journal: Journal): void {
    journal.put('ghost', ghostFields(this, this.own));
  }

  /** Refunds the charge of `chargeGhost`. */
  refundGhost(): void {
    this.charge.refundOwnMemory();
    this.context.recorder?.dropped(Kind.ghost, this.id);
  }

  /** Returns the lines of `.status`. */
  statusLines(): StatusLines {
    return directoryStatus(this);
  }
}
