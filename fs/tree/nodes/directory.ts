/** Base class of all directories of the mount. */
import type { Caller } from '../../owners/owners.js';
import { Errno, FsError, NOT_FOUND } from '../../shared/errors.js';
import { FileType } from './attributes.js';
import { type Handle, Node } from './node.js';

/** The reply to one readdir(3), which a directory adds its entries to. */
export interface Listing {
  /**
   * Adds an entry.
   * @param ino its inode number
   * @param type its type bits of st_mode
   * @param name bytes as characters
   * @param next the offset after the entry
   * @returns false if the reply has no room left
   */
  add(ino: number, type: number, name: string, next: number): boolean;
}

/** The reason that goes with EEXIST for a name that no file of a user can have. */
export const RESERVED = 'the name is reserved: head and tail lead to the ends of the queue';

/** A directory. An operation that a class does not override fails with the documented errno. */
export abstract class Directory extends Node {
  /**
   * Finds a child.
   * @param name bytes as characters
   * @param _caller the process that looks the name up, if the driver knows it. It may not see a
   * directory that another process made under its PID.
   * @returns the child, or undefined
   */
  abstract lookup(name: string, _caller?: Caller): Node | undefined;

  /** Returns the reason why `lookup` finds no child of that name, in words, for the trace. */
  whyNotFound(_name: string): string {
    return NOT_FOUND;
  }

  /**
   * Returns whether the name is taken although no file has it now: the answer to each call that
   * would make it is EEXIST.
   */
  isReserved(_name: string): boolean {
    return false;
  }

  /**
   * The position at which a listing that begins now ends. The listing leaves out later entries, so
   * that it ends even if entries come faster than the caller reads.
   */
  get listingEnd(): number {
    return 0;
  }

  /**
   * readdir(3).
   * @param offset 0 for the beginning, else the `next` of the last entry that the caller has read
   * @param to receives the entries until it has no room
   * @param end the value of `listingEnd` when the listing began
   */
  abstract list(offset: number, to: Listing, end?: number): void;

  /**
   * Refuses open(2) of a directory as a file.
   * @throws FsError EISDIR
   */
  override open(): Handle {
    throw new FsError(Errno.EISDIR, 'a directory cannot be opened as a file; use opendir');
  }

  /**
   * open(2) with O_CREAT of a name that is free.
   * @param _mode the permissions of the new file
   * @param _flags as in `open`
   * @returns a handle of the new file
   * @throws FsError EPERM unless a class overrides this
   */
  create(_name: string, _mode: number, _flags: number, _caller: Caller): Handle {
    throw new FsError(Errno.EPERM, 'files can be made only in a process directory');
  }

  /**
   * mknod(2), and bind(2) of a Unix socket.
   * @param _mode type and permissions
   * @throws FsError EPERM unless a class overrides this
   */
  mknod(_name: string, _mode: number, _caller: Caller): Node {
    throw new FsError(Errno.EPERM, 'files can be made only in a process directory');
  }

  /**
   * symlink(2).
   * @param _target any text, bytes as characters
   * @throws FsError EPERM unless a class overrides this
   */
  symlink(_name: string, _target: string, _caller: Caller): Node {
    throw new FsError(Errno.EPERM, 'symlinks can be made only in a process directory');
  }

  /**
   * link(2).
   * @param _node the file that gets another name
   * @returns the node of the new name
   * @throws FsError EPERM unless a class overrides this
   */
  link(_name: string, _node: Node): Node {
    throw new FsError(Errno.EPERM, 'files can be made only in a process directory');
  }

  /**
   * rename(2) of a name in this directory.
   * @param _to the target directory, which may be this one
   * @param _noReplace whether a name that is taken is an error, EEXIST (RENAME_NOREPLACE)
   * @throws FsError EPERM unless a class overrides this
   */
  rename(_name: string, _to: Directory, _newName: string, _noReplace: boolean): void {
    throw new FsError(Errno.EPERM, 'files can be renamed only in a process directory');
  }

  /**
   * mkdir(2).
   * @param _mode permissions
   * @throws FsError EEXIST for a reserved name; EPERM unless a class overrides this
   */
  mkdir(name: string, _mode: number, _caller: Caller): Directory {
    if (this.isReserved(name)) throw new FsError(Errno.EEXIST, RESERVED);
    throw new FsError(Errno.EPERM, 'mkdir works only in the root of the mount');
  }

  /**
   * unlink(2).
   * @throws FsError EPERM unless a class overrides this
   */
  unlink(_name: string): void {
    throw new FsError(Errno.EPERM, 'this directory has no entry that can be removed');
  }

  /**
   * rmdir(2).
   * @param _caller the process that removes the directory, if the driver knows it
   * @throws FsError EPERM unless a class overrides this
   */
  rmdir(_name: string, _caller?: Caller): void {
    throw new FsError(Errno.EPERM, 'this directory has no entry that can be removed');
  }
}

/**
 * Lists `.` and `..`, whose offsets are 1 and 2.
 * @param ino the inode number of the directory
 * @param parent the inode number of its parent
 * @param offset the offset of readdir(3) to begin at
 * @returns false if there is no room for both
 */
export function listDots(ino: number, parent: number, offset: number, to: Listing): boolean {
  if (offset < 1 && !to.add(ino, FileType.directory, '.', 1)) return false;
  return offset >= 2 || to.add(parent, FileType.directory, '..', 2);
}
