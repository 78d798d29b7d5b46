/** The root: the process directories, which processes make with mkdir(2), and the fixed names. */
import { Sequence } from '../../bus/sequence.js';
import { Errno, FsError } from '../../shared/errors.js';
import type { Caller, Owner, Owners } from '../../owners/owners.js';
import {
  type AttributeChanges,
  type Attributes,
  FileType,
  MOUNT_USER,
  OwnAttributes,
} from './attributes.js';
import { Directory, type Listing, listDots } from './directory.js';
import { DirectoryNames } from './directory-names.js';
import { FOREVER, type Node, type NodeId, ROOT_ID } from './node.js';
import { givesWay, pidOf } from './pid-names.js';
import { type DirectoryParent, ProcessDirectory } from './process-directory.js';
import { directoryPrice } from '../prices.js';
import { RootFile } from './root-file.js';
import { RootNames } from './fixed/root-names.js';
import { listRoot } from './listing/root-listing.js';
import { makeRoom } from './process/dead-directories.js';
import type { TreeContext } from '../context.js';
import type { Journal } from '../../state/journal.js';
import type { Recorded } from '../../state/recorder.js';
import type { Fields } from '../../state/schema.js';
import { timeFields, timeOf } from '../../state/times.js';

/** Permissions for the user of a directory only. */
const OWNER_ONLY = 0o700;

/** The root of the mount. */
export class RootDirectory extends Directory implements DirectoryParent, Recorded {
  isMarked = false;
  /** Any user may make a directory here, and only its user may remove it. */
  readonly #own = new OwnAttributes(0o1777, MOUNT_USER.uid, MOUNT_USER.gid, this.born);
  /** The files and directories that always exist. */
  readonly always = new RootNames();
  /** The process directories, in the order in which they were made. */
  readonly directories = new Sequence<ProcessDirectory>();
  readonly names: DirectoryNames<ProcessDirectory>;

  constructor(
    private readonly context: TreeContext,
    private readonly owners: Owners,
  ) {
    super(ROOT_ID, FOREVER);
    this.names = new DirectoryNames(this.directories, owners);
  }

  /**
   * Adds a fixed name behind the others. The last one must not be a directory: event-put of vdev
   * links the entry that is listed last twice if that is a directory.
   * @param isLink whether `list_links` decides if the name is listed; a lookup always finds it. A
   * program that reads every file it finds would never end with such a file.
   */
  fix(name: string, node: Node, isLink = false): void {
    node.born = this.born;
    this.always.add({ name, node, isLink });
    if (!(node instanceof RootFile)) return;
    node.recorder = this.context.recorder;
    node.recorder?.changed(node);
  }

  /** Returns the node that always exists with this id, or undefined. */
  fixed(id: NodeId): Node | undefined {
    return id === this.id ? this : this.always.numbered(id);
  }

  get mode(): number {
    return FileType.directory | this.#own.permissions;
  }

  /**
   * Finds a process directory or a fixed name.
   * @param name bytes as characters
   * @param caller the process that looks the name up, if the driver knows it
   * @returns undefined if there is none that the caller means, or if it gives way to the caller
   */
  lookup(name: string, caller?: Caller): Node | undefined {
    const directory = this.names.find(name, caller);
    if (directory === undefined) return this.always.named(name);
    return givesWay(directory, caller, this.owners) ? undefined : directory;
  }

  override whyNotFound(name: string): string {
    const pid = pidOf(name);
    if (this.names.any(name) !== undefined)
      return 'the directory of that name is hidden from the caller, whose PID it has';
    if (pid === undefined) return 'no directory has that name';
    return this.owners.isAlive(pid)
      ? `process ${pid} has made no directory of that name`
      : `no process ${pid}`;
  }

  /**
   * Frees a name for the caller: ends the directory of that name if it must yield to the caller
   * (pid-names.ts).
   * @throws FsError EEXIST if the directory of that name stays
   */
  #clear(name: string, caller?: Caller): void {
    const directory = this.names.find(name, caller);
    if (directory === undefined && this.always.named(name) === undefined) return;
    if (directory === undefined || !givesWay(directory, caller, this.owners))
      throw new FsError(Errno.EEXIST, 'a file or directory of that name exists');
    this.#end(directory, 'gaveWay');
  }

  /**
   * mkdir(2). The owner is the process that the name names, else the caller.
   * @param name bytes as characters
   * @param mode permissions
   * @throws FsError EEXIST, EDQUOT, ENOSPC, and the errors of {@link Owners.named} and
   * {@link Owners.ofCaller}
   */
  override mkdir(name: string, mode: number, caller: Caller): ProcessDirectory {
    this.#clear(name, caller);
    const pid = pidOf(name);
    const { owners } = this;
    return this.#add(name, mode, caller.uid, caller.gid, () =>
      pid === undefined ? owners.ofCaller(caller) : owners.named(pid, caller),
    );
  }

  /**
   * mkdir(2) by an unknown caller. Only the process that the name names can own the directory. The
   * directory belongs to the user of that process, and no other user may do anything in it until
   * that user allows it.
   * @param name bytes as characters
   * @param mode permissions, of which only those of the user are kept
   * @throws FsError EEXIST; EPERM if the name has no PID; ESRCH if no process has it; EDQUOT or
   * ENOSPC
   */
  mkdirForNamed(name: string, mode: number): ProcessDirectory {
    this.#clear(name);
    const pid = pidOf(name);
    if (pid === undefined)
      throw new FsError(
        Errno.EPERM,
        `the name ${name} has no PID; the driver does not know the caller, so use <pid> or <pid>.<label>`,
      );
    const { owner, uid, gid } = this.owners.anybody(pid);
    try {
      return this.#add(name, mode & OWNER_ONLY, uid, gid, () => owner);
    } catch (error) {
      this.owners.releaseUnused(owner);
      throw error;
    }
  }

  /**
   * Makes a process directory and charges the account of the user for it.
   * @param findOwner returns the owner, or throws; runs after the charge
   */
  #add(
    name: string,
    mode: number,
    uid: number,
    gid: number,
    findOwner: () => Owner,
  ): ProcessDirectory {
    const { estates } = this.owners;
    const account = this.context.ledger.account(uid, gid);
    const price = directoryPrice(name);
    makeRoom(account, estates);
    account.chargeAll(price);
    try {
      const owner = findOwner();
      const inTheWay = this.names.inTheWay(name, owner);
      if (inTheWay !== undefined) estates.remove(inTheWay.owner, inTheWay);
      const directory = new ProcessDirectory(
        this.context,
        this,
        this.context.newDirectoryId(),
        name,
        owner,
        mode,
        account,
        uid,
      );
      directory.position = this.directories.push(this.#enter(directory), directory);
      this.#own.contentsChanged();
      this.context.recorder?.changed(this);
      return directory;
    } catch (error) {
      account.refundAll(price);
      throw error;
    }
  }

  /**
   * rmdir(2). The owner ends its directory whatever the directory holds. A sticky directory has no
   * owner.
   * @param caller the process that removes the directory, if the driver knows it
   * @throws FsError ENOENT if no directory has the name; EPERM for a fixed name; ENOTEMPTY if the
   * directory is not `removable` and the caller does not own it
   */
  override rmdir(name: string, caller?: Caller): void {
    const directory = this.names.find(name, caller);
    if (directory === undefined) {
      if (this.always.named(name) !== undefined)
        throw new FsError(Errno.EPERM, 'a name that the mount always has cannot be removed');
      throw new FsError(Errno.ENOENT, 'no directory has that name');
    }
    const { isSticky, owner } = directory;
    const isOwner = caller !== undefined && !isSticky && this.owners.isCaller(owner, caller);
    if (!directory.removable && !isOwner)
      throw new FsError(
        Errno.ENOTEMPTY,
        'the directory is not empty, and the caller does not own it: list it and remove its entries first',
      );
    this.#end(directory, 'rmdir');
  }

  /** Ends a directory whose owner is dead. */
  ownerDied(directory: ProcessDirectory): void {
    this.#end(directory, 'ownerDied');
  }

  /**
   * Ends a directory, for every cause: no request reaches it or what it holds from now on. Its
   * memory is freed in turns.
   * @param cause rmdir(2), mkdir(2) by a process whose PID is in the name, or the death of the
   * owner, which by then owns nothing
   */
  #end(directory: ProcessDirectory, cause: 'rmdir' | 'gaveWay' | 'ownerDied'): void {
    if (cause !== 'ownerDied') this.owners.release(directory.owner, directory);
    this.names.delete(directory);
    this.#own.contentsChanged();
    this.context.recorder?.changed(this);
    directory.end();
    const { inotify } = this.context;
    // The kernel tells inotify of an rmdir(2) by itself.
    if (cause !== 'rmdir') inotify.queueDelete(directory);
    if (this.names.any(directory.name) !== undefined) inotify.nameTaken(directory.name);
  }

  /** The number of process directories, without those whose owner is dead. */
  get size(): number {
    return this.directories.size - this.owners.estates.ending;
  }

  override get listingEnd(): number {
    return this.directories.nextPosition;
  }

  /** readdir(3). Process directories come first, the fixed names last. */
  list(offset: number, to: Listing, end = this.listingEnd): void {
    if (!listDots(this.ino, this.ino, offset, to)) return;
    const { directories, names, context } = this;
    const { listsLinks } = context.settings;
    listRoot({ directories, names, fixed: this.always.list, listsLinks }, offset, to, end);
  }

  /** chmod(2), chown(2), utimensat(2). A size is ignored. */
  override change(changes: AttributeChanges): void {
    this.#own.change(changes);
    this.context.recorder?.changed(this);
  }

  /** Writes the record of the root, without its directories. */
  record(journal: Journal): void {
    journal.put('root', {
      nextDirectory: this.directories.nextPosition,
      ...timeFields('born', this.born),
      ...this.#own.fields,
    });
  }

  /** Restores the root's attributes of an earlier daemon, after its directories. */
  restore(state: Fields<'root'>): void {
    this.directories.goOnAt(state.nextDirectory);
    this.born = timeOf(state, 'born');
    for (const node of this.always.nodes) node.born = this.born;
    this.#own.restore(state);
  }

  /** Takes in a directory of the last daemon, at its position. */
  adopt(directory: ProcessDirectory): void {
    this.directories.restore(directory.position, this.#enter(directory), directory);
  }

  /** @returns the key of the directory in the sequence of all */
  #enter(directory: ProcessDirectory): string {
    this.owners.bind(directory.owner, directory);
    this.context.deliveries.add(directory);
    this.context.inotify.nameTaken(directory.name);
    return this.names.add(directory);
  }

  /** stat(2): the link count includes the directories in the root. */
  attributes(to: Attributes): void {
    const nlink = 2 + this.always.directories + this.size;
    to.setFile(this.ino, this.mode, nlink);
    this.#own.show(to);
  }
}
