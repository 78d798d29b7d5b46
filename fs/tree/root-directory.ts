/** The root: process directories by mkdir, and what is always there. */
import { Sequence } from '../events/sequence.js';
import { type Timestamp, now } from '../events/event.js';
import { Errno, FsError } from '../errno.js';
import type { Caller, Owner } from '../owners/owners.js';
import { type AttributeChanges, type Attributes, Directory, FileType, type Listing, type Node, type NodeId } from './node.js';
import { ProcessDirectory } from './process-directory.js';
import { directoryPrice } from './prices.js';
import type { Tree } from './tree.js';

export const ROOT_ID = 1 as NodeId;

/** `<pid>` or `<pid>.<label>`: a decimal number without leading zeros. */
const PID_NAME = /^(0|[1-9][0-9]*)(\.[^]*)?$/;

const OWNER_ONLY = 0o700;

export class RootDirectory extends Directory {
  /** Anyone may make a directory here, and only its user may remove it. */
  #permissions = 0o1777;
  #uid = 0;
  #gid = 0;
  #accessed: Timestamp = this.born;
  #modified: Timestamp = this.born;
  #changed: Timestamp = this.born;
  /** What is always there. */
  readonly #fixed = new Map<string, Node>();
  readonly directories = new Sequence<ProcessDirectory>();

  constructor(private readonly tree: Tree) {
    super(ROOT_ID, tree.forever);
  }

  /** Puts something there that always stays. */
  fix(name: string, node: Node): void {
    this.#fixed.set(name, node);
  }

  get mode(): number {
    return FileType.directory | this.#permissions;
  }

  lookup(name: string): Node | undefined {
    return this.directories.get(name) ?? this.#fixed.get(name);
  }

  /** mkdir(2): EEXIST, EDQUOT, ENOSPC, and what {@link Owners.named} says. */
  override mkdir(name: string, mode: number, caller: Caller): ProcessDirectory {
    if (this.lookup(name) !== undefined) throw new FsError(Errno.EEXIST);
    return this.#add(name, mode, caller.uid, caller.gid, () => this.#ownerFor(name, caller));
  }

  /**
   * mkdir(2) by somebody of whom nothing is known: only a process that its name names can own it, whose user it belongs
   * to, and nobody else may do anything in it until that user says so. EEXIST, EPERM, ESRCH.
   */
  mkdirForNamed(name: string, mode: number): ProcessDirectory {
    if (this.lookup(name) !== undefined) throw new FsError(Errno.EEXIST);
    const pid = PID_NAME.exec(name)?.[1];
    if (pid === undefined) throw new FsError(Errno.EPERM, `${name}: only <pid> and <pid>.<label>, the caller is not known`);
    const { owner, uid, gid } = this.tree.owners.anybody(Number(pid));
    try {
      return this.#add(name, mode & OWNER_ONLY, uid, gid, () => owner);
    } catch (error) {
      this.tree.owners.releaseUnused(owner);
      throw error;
    }
  }

  #add(name: string, mode: number, uid: number, gid: number, findOwner: () => Owner): ProcessDirectory {
    const tab = this.tree.ledger.tab(uid, gid);
    const price = directoryPrice(name);
    tab.claimAll(price);
    try {
      const owner = findOwner();
      const directory = new ProcessDirectory(this.tree, this.tree.mintNodeId(), name, owner, mode, tab);
      this.tree.owners.bind(owner, directory);
      this.directories.push(name, directory);
      this.tree.takers.add(directory);
      this.tree.notices.nameTaken(name);
      this.#modified = this.#changed = now();
      return directory;
    } catch (error) {
      tab.unclaimAll(price);
      throw error;
    }
  }

  #ownerFor(name: string, caller: Caller): Owner {
    const pid = PID_NAME.exec(name)?.[1];
    return pid === undefined ? this.tree.owners.ofCaller(caller) : this.tree.owners.named(Number(pid), caller);
  }

  /** rmdir(2): ENOTEMPTY while it holds events that a listing has shown, EPERM for what always stays. */
  override rmdir(name: string): void {
    const directory = this.directories.get(name);
    if (directory === undefined) throw new FsError(this.#fixed.has(name) ? Errno.EPERM : Errno.ENOENT);
    if (!directory.removable) throw new FsError(Errno.ENOTEMPTY);
    this.drop(directory);
    this.tree.owners.release(directory.owner, directory);
    directory.end();
  }

  /** Takes a directory out of the tree. */
  drop(directory: ProcessDirectory): void {
    this.directories.delete(directory.name);
    this.tree.takers.remove(directory);
    this.#modified = this.#changed = now();
  }

  override get listingEnd(): number {
    return this.directories.nextPosition;
  }

  /** Offsets: 1 and 2 behind `.` and `..`, then one for each fixed name, then the position of a directory. */
  list(offset: number, to: Listing, end = this.listingEnd): void {
    if (offset < 1 && !to.add(this.ino, FileType.directory, '.', 1)) return;
    if (offset < 2 && !to.add(this.ino, FileType.directory, '..', 2)) return;
    let next = 2;
    for (const [name, node] of this.#fixed) {
      next++;
      if (offset < next && !to.add(node.ino, node.type, name, next)) return;
    }
    const { directories } = this;
    let position = directories.seek(Math.max(0, offset - next));
    for (; position >= 0 && position < end; position = directories.seek(position + 1)) {
      const directory = directories.at(position)!;
      if (!to.add(directory.ino, FileType.directory, directory.name, next + position + 1)) return;
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
    to.nlink = 2 + this.directories.size;
    to.uid = this.#uid;
    to.gid = this.#gid;
    to.atime = this.#accessed;
    to.mtime = this.#modified;
    to.ctime = this.#changed;
  }
}
