/**
 * Path resolution and permissions as the kernel does them (path_resolution(7), fs/namei.c), on the
 * tree in memory.
 */
import { Refused } from '../support/memory/connection.js';
import { MemoryKernel } from '../support/memory/kernel.js';
import { FUSE_ROOT_ID } from '../../fs/fuse/abi.js';
import type { User } from './system.js';

export const DIRECTORY = 0o04;
export const REGULAR = 0o10;
export const SYMLINK = 0o12;
export const MOST_SYMLINKS = 40;
export const PATH_MAX = 4096;

/** A node, as far as permissions depend on it. */
export interface Found {
  readonly id: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** A name in a directory. */
export interface Place {
  readonly parent: number;
  readonly name: string;
}

/** Returns the type bits of a mode, as in a directory entry. */
export const typeOf = (mode: number): number => mode >> 12;

/** The paths of one caller, with its working directory. */
export class Paths {
  #cwd = FUSE_ROOT_ID as number;

  constructor(
    readonly kernel: MemoryKernel,
    readonly user: User,
  ) {}

  /** Returns the attributes of a node that permissions depend on. */
  found(id: number): Found {
    const { 'attr.mode': mode, 'attr.uid': uid, 'attr.gid': gid } = this.kernel.getattr(id);
    return { id, mode, uid, gid };
  }

  /** Resolves a path as path_resolution(7), up to the directory of its last component. */
  place(path: string, from = this.#cwd): Place {
    if (path.length >= PATH_MAX) throw new Refused('ENAMETOOLONG');
    if (path === '') throw new Refused('ENOENT');
    const parts = path.split('/').filter((part) => part !== '');
    let parent = from;
    for (const part of parts.slice(0, -1)) parent = this.#step(parent, part);
    return { parent, name: parts[parts.length - 1] };
  }

  #step(directory: number, name: string): number {
    const found = this.found(directory);
    if (typeOf(found.mode) !== DIRECTORY) throw new Refused('ENOTDIR');
    if (!this.may(found, 1)) throw new Refused('EACCES');
    if (name === '.') return directory;
    if (name === '..') return FUSE_ROOT_ID;
    return this.#through({ parent: directory, name }, 0).id;
  }

  /** Looks up a place, and follows no symlink. */
  lookup({ parent, name }: Place): Found {
    const found = this.found(parent);
    if (typeOf(found.mode) !== DIRECTORY) throw new Refused('ENOTDIR');
    if (!this.may(found, 1)) throw new Refused('EACCES');
    if (name === '.' || name === '..') return this.found(name === '.' ? parent : FUSE_ROOT_ID);
    const entry = this.kernel.lookup(parent, name);
    return {
      id: entry.nodeid,
      mode: entry['attr.mode'],
      uid: entry['attr.uid'],
      gid: entry['attr.gid'],
    };
  }

  /**
   * Looks up a place, and follows symlinks.
   * @throws Refused ELOOP after too many
   */
  #through(place: Place, depth: number): Found {
    if (depth > MOST_SYMLINKS) throw new Refused('ELOOP');
    const found = this.lookup(place);
    if (typeOf(found.mode) !== SYMLINK) return found;
    return this.#through(this.place(this.kernel.readlink(found.id), place.parent), depth + 1);
  }

  /**
   * Looks up a path.
   * @param follow whether to follow a symlink at its end
   */
  find(path: string, follow: boolean): Found {
    const place = this.place(path);
    return follow ? this.#through(place, 0) : this.lookup(place);
  }

  /** Looks up a place; undefined if there is nothing. */
  at(place: Place): Found | undefined {
    try {
      return this.lookup(place);
    } catch (error) {
      if (error instanceof Refused && error.code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Makes chdir(2). */
  chdir(path: string): void {
    const found = this.find(path, true);
    if (typeOf(found.mode) !== DIRECTORY) throw new Refused('ENOTDIR');
    if (!this.may(found, 1)) throw new Refused('EACCES');
    this.#cwd = found.id;
  }

  /**
   * Checks the user's permissions.
   * @param bits 4 to read, 2 to write, 1 to search
   */
  may({ mode, uid, gid }: Found, bits: number): boolean {
    const { user } = this;
    if (user.uid === 0) return true;
    const shift = uid === user.uid ? 6 : gid === user.gid || user.groups.includes(gid) ? 3 : 0;
    return ((mode >> shift) & bits) === bits;
  }

  /** Checks what may_delete() of fs/namei.c checks. */
  mayRemove(place: Place, removed: Found, isDirectory: boolean): void {
    const parent = this.found(place.parent);
    if (!this.may(parent, 3)) throw new Refused('EACCES');
    const { uid } = this.user;
    if ((parent.mode & 0o1000) !== 0 && uid !== 0 && uid !== parent.uid && uid !== removed.uid)
      throw new Refused('EPERM');
    if (isDirectory && typeOf(removed.mode) !== DIRECTORY) throw new Refused('ENOTDIR');
    if (!isDirectory && typeOf(removed.mode) === DIRECTORY) throw new Refused('EISDIR');
  }
}
