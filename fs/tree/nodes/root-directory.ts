/** The root: process directories by mkdir, and what is always there. */
import { Sequence } from '../../bus/sequence.js';
import { type Timestamp, now } from '../../bus/event.js';
import { Errno, FsError } from '../../shared/errors.js';
import type { Caller, Owner, Owners } from '../../owners/owners.js';
import {
  type AttributeChanges,
  type Attributes,
  Directory,
  FOREVER,
  FileType,
  type Listing,
  type Node,
  ROOT_ID,
} from './node.js';
import { type DirectoryParent, ProcessDirectory } from './process-directory.js';
import { directoryPrice } from '../prices.js';
import type { TreeContext } from '../context.js';

/** `<pid>` or `<pid>.<label>`: a decimal number without leading zeros. */
const PID_NAME = /^(0|[1-9][0-9]*)(\.[^]*)?$/;

const OWNER_ONLY = 0o700;

/** Offsets of readdir: 1 behind `.`, 2 behind `..`, then 3 + the position of a directory. */
const FIRST_ENTRY_OFFSET = 2;
const FIRST_DIRECTORY_OFFSET = 3;
/**
 * The fixed names come behind all directories, however many there will have been. Their offsets fit 31 bits for as long as those
 * of directories do: readdir(3) of a 32-bit program without large files refuses larger ones with EOVERFLOW.
 */
const NARROW_FIXED_OFFSET = 2 ** 30;
const WIDE_FIXED_OFFSET = 2 ** 50;

/** A file of the root that is always there. */
interface Fixed {
  readonly name: string;
  readonly node: Node;
  /** Listed only where `list_links` says so. */
  readonly isLink: boolean;
}

export class RootDirectory extends Directory implements DirectoryParent {
  /** Anyone may make a directory here, and only its user may remove it. */
  #permissions = 0o1777;
  #uid = 0;
  #gid = 0;
  #accessed: Timestamp = this.born;
  #modified: Timestamp = this.born;
  #changed: Timestamp = this.born;
  /** What is always there, in the order of the listing. */
  readonly #fixed: Fixed[] = [];
  #fixedDirectories = 0;
  readonly directories = new Sequence<ProcessDirectory>();

  constructor(
    private readonly context: TreeContext,
    private readonly owners: Owners,
  ) {
    super(ROOT_ID, FOREVER);
  }

  /**
   * Puts something there that always stays, behind what is there. The last one is no directory: vdev's event-put links the
   * entry that is listed last twice if that is a directory.
   * @param isLink it is found by name, and listed only with `list_links`: a walker that reads all it finds never ends with it
   */
  fix(name: string, node: Node, isLink = false): void {
    this.#fixed.push({ name, node, isLink });
    if (node.type === FileType.directory) this.#fixedDirectories++;
  }

  #fixedNode(name: string): Node | undefined {
    for (const fixed of this.#fixed) if (fixed.name === name) return fixed.node;
    return undefined;
  }

  get mode(): number {
    return FileType.directory | this.#permissions;
  }

  lookup(name: string, caller?: Caller): Node | undefined {
    const directory = this.directories.get(name);
    if (directory === undefined) return this.#fixedNode(name);
    return this.#isUsurped(directory, caller) ? undefined : directory;
  }

  override whyNotFound(name: string): string {
    const pid = PID_NAME.exec(name)?.[1];
    if (this.directories.get(name) !== undefined)
      return 'a directory of that name gives way to the caller, whose PID it has';
    if (pid === undefined) return 'no directory has that name';
    return this.owners.isAlive(Number(pid))
      ? `process ${pid} has made no directory of that name`
      : `no process ${pid}`;
  }

  /**
   * A live process always gets a directory under its own PID, empty. So a directory that has the process's PID in its name
   * and is not its own gives way: one that a dead process of that PID has left (sticky), and one that a user made for the
   * process before that had more rights (by execve(2) of a set-user-ID program). The process and its descendants, which
   * is how a shell's mkdir(1) comes, do not see it; their mkdir(2) ends it.
   *
   * The caller's PID costs two or three reads of /proc. It is looked at only where the directory may be usurped.
   */
  #isUsurped(directory: ProcessDirectory, caller: Caller | undefined): boolean {
    if (
      !directory.isOrphaned &&
      (directory.madeBy === 0 || caller === undefined || caller.uid === directory.madeBy)
    )
      return false;
    const pid = PID_NAME.exec(directory.name)?.[1];
    if (pid === undefined) return false;
    const { owners } = this;
    if (!directory.isOrphaned && owners.effectiveUidOf(directory.owner) === directory.madeBy)
      return false;
    // fuse-native does not tell the caller: there any live process of that PID will do.
    return caller === undefined
      ? owners.isAlive(Number(pid))
      : owners.isSelfOrAncestor(Number(pid), caller);
  }

  /** Makes a name free that is usurped. EEXIST where it is taken by right. */
  #clear(name: string, caller?: Caller): void {
    const directory = this.directories.get(name);
    if (directory === undefined && this.#fixedNode(name) === undefined) return;
    if (directory === undefined || !this.#isUsurped(directory, caller))
      throw new FsError(Errno.EEXIST, 'the name is taken');
    this.#end(directory, 'usurped');
  }

  /** mkdir(2): EEXIST, EDQUOT, ENOSPC, and what {@link Owners.named} says. */
  override mkdir(name: string, mode: number, caller: Caller): ProcessDirectory {
    this.#clear(name, caller);
    return this.#add(name, mode, caller.uid, caller.gid, () => this.#ownerFor(name, caller));
  }

  /**
   * mkdir(2) by somebody of whom nothing is known: only a process that its name names can own it, whose user it belongs
   * to, and nobody else may do anything in it until that user says so. EEXIST, EPERM, ESRCH.
   */
  mkdirForNamed(name: string, mode: number): ProcessDirectory {
    this.#clear(name);
    const pid = PID_NAME.exec(name)?.[1];
    if (pid === undefined)
      throw new FsError(
        Errno.EPERM,
        `${name}: only <pid> and <pid>.<label>, the caller is not known`,
      );
    const { owner, uid, gid } = this.owners.anybody(Number(pid));
    try {
      return this.#add(name, mode & OWNER_ONLY, uid, gid, () => owner);
    } catch (error) {
      this.owners.releaseUnused(owner);
      throw error;
    }
  }

  #add(
    name: string,
    mode: number,
    uid: number,
    gid: number,
    findOwner: () => Owner,
  ): ProcessDirectory {
    const account = this.context.ledger.account(uid, gid);
    const price = directoryPrice(name);
    account.chargeAll(price);
    try {
      const owner = findOwner();
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
      this.owners.bind(owner, directory);
      this.directories.push(name, directory);
      this.context.deliveries.add(directory);
      this.context.inotify.nameTaken(name);
      this.#modified = this.#changed = now();
      return directory;
    } catch (error) {
      account.refundAll(price);
      throw error;
    }
  }

  #ownerFor(name: string, caller: Caller): Owner {
    const pid = PID_NAME.exec(name)?.[1];
    return pid === undefined
      ? this.owners.ofCaller(caller)
      : this.owners.named(Number(pid), caller);
  }

  /** rmdir(2): ENOTEMPTY while it holds events that a listing has shown, EPERM for what always stays. */
  override rmdir(name: string): void {
    const directory = this.directories.get(name);
    if (directory === undefined) {
      if (this.#fixedNode(name) !== undefined) throw new FsError(Errno.EPERM, 'it is always there');
      throw new FsError(Errno.ENOENT, 'no directory has that name');
    }
    if (!directory.removable)
      throw new FsError(Errno.ENOTEMPTY, 'it holds what a listing has shown, or was never listed');
    this.#end(directory, 'rmdir');
  }

  /** A directory's owner is dead. */
  ownerDied(directory: ProcessDirectory): void {
    this.#end(directory, 'ownerDied');
  }

  /**
   * Ends a directory, the one way for all causes: nothing reaches it or what it holds from now on. Its memory is freed in turns.
   * @param cause rmdir(2); mkdir(2) by a process whose PID the name has; or the death of its owner, which by then owns nothing
   */
  #end(directory: ProcessDirectory, cause: 'rmdir' | 'usurped' | 'ownerDied'): void {
    if (cause !== 'ownerDied') this.owners.release(directory.owner, directory);
    this.directories.delete(directory.name);
    this.#modified = this.#changed = now();
    directory.end();
    // Of an rmdir(2) the kernel tells inotify by itself.
    if (cause !== 'rmdir') this.context.inotify.queueDelete(directory);
  }

  override get listingEnd(): number {
    return this.directories.nextPosition;
  }

  /** Process directories first, the fixed names last. */
  list(offset: number, to: Listing, end = this.listingEnd): void {
    if (offset < 1 && !to.add(this.ino, FileType.directory, '.', 1)) return;
    if (
      offset < FIRST_ENTRY_OFFSET &&
      !to.add(this.ino, FileType.directory, '..', FIRST_ENTRY_OFFSET)
    )
      return;
    const { directories } = this;
    const isNarrow = directories.nextPosition + FIRST_DIRECTORY_OFFSET < NARROW_FIXED_OFFSET;
    const firstFixed = isNarrow ? NARROW_FIXED_OFFSET : WIDE_FIXED_OFFSET;
    let position =
      offset >= firstFixed ? -1 : directories.seek(Math.max(0, offset - FIRST_ENTRY_OFFSET));
    for (; position >= 0 && position < end; position = directories.seek(position + 1)) {
      const directory = directories.at(position)!;
      if (
        !to.add(
          directory.ino,
          FileType.directory,
          directory.name,
          position + FIRST_DIRECTORY_OFFSET,
        )
      )
        return;
    }
    for (let n = Math.max(0, offset - firstFixed); n < this.#fixed.length; n++) {
      const { name, node, isLink } = this.#fixed[n];
      if (
        (!isLink || this.context.settings.listsLinks) &&
        !to.add(node.ino, node.type, name, firstFixed + n + 1)
      )
        return;
    }
  }

  override change(changes: AttributeChanges): void {
    if (changes.mode !== undefined) this.#permissions = changes.mode & 0o7777;
    this.#uid = changes.uid ?? this.#uid;
    this.#gid = changes.gid ?? this.#gid;
    this.#accessed = changes.atime ?? this.#accessed;
    this.#modified = changes.mtime ?? this.#modified;
    this.#changed = now();
  }

  attributes(to: Attributes): void {
    to.ino = this.ino;
    to.size = 0;
    to.mode = this.mode;
    to.nlink = 2 + this.#fixedDirectories + this.directories.size;
    to.uid = this.#uid;
    to.gid = this.#gid;
    to.atime = this.#accessed;
    to.mtime = this.#modified;
    to.ctime = this.#changed;
  }
}
