/** Base class of the directories in which users make files: process directories. */
import type { Timestamp } from '../../../shared/timestamp.js';
import type { Entry, Queue } from '../../../bus/queue.js';
import type { Caller } from '../../../owners/owners.js';
import { Errno, FsError } from '../../../shared/errors.js';
import type { Filter } from '../../../uevent/filter/filter.js';
import type { TreeContext } from '../../context.js';
import { WRITTEN_EVENT_BYTES } from '../../prices.js';
import type { QuotaAccount } from '../../quota/account.js';
import { WrittenEvent } from '../../written/written-event.js';
import {
  type AttributeChanges,
  type Attributes,
  FileType,
  OwnAttributes,
  TYPE_MASK,
} from '../attributes.js';
import { type Directory, RESERVED } from '../directory.js';
import { DirectoryCharge } from './directory-charge.js';
import { EventDirectory } from '../event-directory.js';
import { EventFile } from '../event-file.js';
import type { Handle, Lifetime, Node, NodeId } from '../node.js';
import { SpecialFile, SymlinkFile } from '../special-file.js';
import { heapOf } from '../../../bus/event.js';

const S_ISGID = 0o2000;

/** A directory of a user: the user puts files in, and is charged for all that it holds. */
export abstract class WritableDirectory extends EventDirectory {
  /** Not null: the directory takes the events that this filter matches. */
  abstract readonly filter: Filter;
  protected readonly own: OwnAttributes;
  readonly charge: DirectoryCharge;
  /** When the mode or owner changed last. */
  #permitted: Timestamp = this.born;

  /**
   * @param permissions the permission bits of st_mode
   * @param account the account to charge; its uid and gid are those of the directory
   */
  constructor(
    context: TreeContext,
    id: NodeId,
    lifetime: Lifetime,
    queue: Queue<Entry>,
    permissions: number,
    account: QuotaAccount,
    born?: Timestamp,
  ) {
    super(context, id, lifetime, queue, born);
    this.own = new OwnAttributes(permissions, account.uid, account.gid, this.born);
    this.charge = new DirectoryCharge(account, this);
  }

  get mode(): number {
    return FileType.directory | this.own.permissions;
  }

  get uid(): number {
    return this.own.uid;
  }

  get gid(): number {
    return this.own.gid;
  }

  override get modified(): Timestamp {
    return this.own.modified;
  }

  override get statusChanged(): Timestamp {
    return this.own.changed;
  }

  override get permitted(): Timestamp {
    return this.#permitted;
  }

  override attributes(to: Attributes): void {
    to.setFile(this.ino, this.mode, 2);
    this.own.show(to);
  }

  /** Runs after the contents have changed: sets mtime and ctime. */
  override changed(): void {
    this.own.contentsChanged();
    this.queue.journal?.hasChanged();
  }

  /**
   * chmod(2), chown(2), utimensat(2). chown(2) moves the charge for the directory and its contents
   * to the account of the new owner.
   * @throws FsError EISDIR for a size; EDQUOT or ENOSPC if the new owner cannot be charged
   */
  override change(changes: AttributeChanges): void {
    const { own } = this;
    if (changes.size !== undefined)
      throw new FsError(Errno.EISDIR, 'a directory cannot be truncated');
    const { mode, uid = own.uid, gid = own.gid } = changes;
    if (uid !== own.uid || gid !== own.gid) this.charge.moveTo(this.ledger.account(uid, gid));
    own.change(changes);
    if (mode !== undefined || changes.uid !== undefined || changes.gid !== undefined)
      this.#permitted = own.changed;
    this.recordChange();
  }

  /** Restores the times that the directory had in an earlier daemon. */
  protected restorePermitted(permitted: Timestamp): void {
    this.#permitted = permitted;
  }

  /** A symlink or file of such a name would lead readers elsewhere until the first event. */
  override isReserved(name: string): boolean {
    return name === 'head' || name === 'tail';
  }

  /**
   * open(2) with O_CREAT. The file joins the end of the queue now, and streams take it once it is
   * closed.
   * @throws FsError EDQUOT or ENOSPC
   */
  override create(name: string, mode: number, flags: number, caller: Caller): Handle {
    const file = this.#addFile(name, mode, caller);
    const handle = file.open(flags, caller);
    if (file.event.complete) this.fileComplete(); // opened for reading only: no writer to wait for
    return handle;
  }

  /**
   * mknod(2), bind(2). A regular file is an event; a FIFO or socket is not.
   * @throws FsError EPERM for a device; EDQUOT or ENOSPC
   */
  override mknod(name: string, mode: number, caller: Caller): Node {
    const type = mode & TYPE_MASK;
    if (type === FileType.regular) {
      const file = this.#addFile(name, mode, caller);
      this.fileComplete();
      return file;
    }
    if (type !== FileType.fifo && type !== FileType.socket)
      throw new FsError(Errno.EPERM, 'mknod makes events, FIFOs and sockets here, but no devices');
    const { uid, gid } = this.#ownersOfNew(caller);
    const id = this.context.newNodeId();
    return this.#addSpecial(new SpecialFile(id, this.lifetime, name, mode, uid, gid));
  }

  /**
   * symlink(2).
   * @throws FsError EDQUOT or ENOSPC
   */
  override symlink(name: string, target: string, caller: Caller): Node {
    const { uid, gid } = this.#ownersOfNew(caller);
    const id = this.context.newNodeId();
    return this.#addSpecial(new SymlinkFile(id, this.lifetime, name, target, uid, gid));
  }

  /**
   * Charges a special file and puts it in.
   * @throws FsError EDQUOT or ENOSPC
   */
  #addSpecial(file: SpecialFile): SpecialFile {
    this.charge.chargeSpecial(file.heap);
    this.specialsToFill().put(file);
    this.changed();
    return file;
  }

  /**
   * Makes an empty written event and adds it to the end of the queue.
   * @throws FsError EDQUOT or ENOSPC
   */
  #addFile(name: string, mode: number, caller: Caller): EventFile {
    this.charge.assertEntryFits(1, 0, name.length + WRITTEN_EVENT_BYTES);
    const { context } = this;
    const { uid, gid } = this.#ownersOfNew(caller);
    const { arena } = context.bus.log;
    const event = new WrittenEvent(
      arena,
      name,
      context.newInode(),
      mode,
      uid,
      gid,
      context.recorder,
    );
    const file = new EventFile(context.newNodeId(), this, name, event);
    this.join(file);
    this.changed();
    return file;
  }

  /**
   * Returns the uid and gid of a new file. A directory with the set-group-ID bit passes its own
   * group on (inode(7)).
   */
  #ownersOfNew({ uid, gid }: Caller): { uid: number; gid: number } {
    return { uid, gid: (this.mode & S_ISGID) !== 0 ? this.gid : gid };
  }

  /**
   * link(2). The event joins the end of this queue too; its bytes are not copied.
   * @throws FsError EPERM for a special file; ENOENT if no queue holds the event any more; EDQUOT
   * or ENOSPC
   */
  override link(name: string, node: Node): EventFile {
    if (!(node instanceof EventFile)) throw new FsError(Errno.EPERM, 'only events can be linked');
    const { event } = node;
    if (event.links === 0) throw new FsError(Errno.ENOENT, 'no queue holds the event any more');
    this.charge.assertEntryFits(1, event.length, heapOf(name, event));
    const file = new EventFile(this.context.newNodeId(), this, name, event);
    // The queue may drop its oldest entry to make room, and that may be the only link to this
    // event.
    event.opens++;
    this.join(file);
    event.close();
    this.changed();
    this.fileComplete();
    return file;
  }

  /**
   * rename(2). Within the directory an event keeps its place; in another one it goes to the end.
   * @throws FsError EPERM for a fixed or reserved name, or a target that is not a process
   * directory; ENOENT; EEXIST with `noReplace`; EDQUOT or ENOSPC; and the errors of `unlink` for a
   * file that it replaces
   */
  override rename(name: string, to: Directory, newName: string, noReplace: boolean): void {
    if (!(to instanceof WritableDirectory))
      throw new FsError(Errno.EPERM, 'the target of a rename must be a process directory');
    if (to.isReserved(newName)) throw new FsError(noReplace ? Errno.EEXIST : Errno.EPERM, RESERVED);
    const file = this.eventFile(name) ?? this.specials?.get(name);
    if (file === undefined) {
      if (this.lookup(name) === undefined)
        throw new FsError(Errno.ENOENT, 'no event and no special file has the old name');
      throw new FsError(Errno.EPERM, 'a name that the directory always has cannot be renamed');
    }
    const taken = to.lookup(newName);
    if (taken !== undefined) {
      if (noReplace)
        throw new FsError(Errno.EEXIST, 'the new name exists, and RENAME_NOREPLACE is set');
      if (taken === file) return;
      // Both names are links to one event: rename(2) leaves both.
      if (taken instanceof EventFile && file instanceof EventFile && taken.event === file.event)
        return;
    }
    if (to !== this) to.charge.assertMoveFits(this.charge, file, taken, newName);
    else if (taken === undefined)
      this.charge.account.assertFits(0, 0, newName.length - name.length);
    if (taken !== undefined) to.unlink(newName);
    if (file instanceof EventFile) this.#renameEvent(file, name, to, newName);
    else this.#renameSpecial(file, name, to, newName);
    this.changed();
    to.changed();
  }

  #renameEvent(file: EventFile, name: string, to: WritableDirectory, newName: string): void {
    // The index must know the file by its old name until the queue renames or moves the entry.
    this.queue.entries.index();
    file.moveTo(to, newName);
    if (to === this) return this.queue.rename(name, newName);
    this.queue.moveTo(to.queue, name);
    file.position = to.queue.entries.nextPosition - 1;
    to.fileComplete();
  }

  #renameSpecial(file: SpecialFile, name: string, to: WritableDirectory, newName: string): void {
    if (to === this) return this.specials!.rename(file, newName);
    this.specials!.take(name);
    file.moveTo(newName, to.lifetime);
    to.charge.account.forceCharge(1, 0, file.heap);
    to.specialsToFill().put(file);
  }

  /** unlink(2) of an event. */
  protected override removeEntry(name: string): void {
    this.queue.remove(name);
    this.changed();
  }
}
