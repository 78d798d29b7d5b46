/**
 * Makes the calls of test/programs/clients/stream-calls.c on the tree in memory. It does the
 * kernel's part of each call (fs/namei.c, fs/open.c: paths, symlinks, flags, permissions), as far
 * as the cases need it.
 */
import type { Answer } from '../support/clients/clients.js';
import { type By, Refused } from '../support/memory/connection.js';
import { MemoryKernel, O_APPEND, O_CREAT, O_TRUNC, cstring } from '../support/memory/kernel.js';
import { SetattrValid as Valid } from '../../fs/fuse/abi.js';
import { type Values, encode } from '../unit/fuse/structs.js';
import type { Caller, System, User } from './system.js';
import {
  DIRECTORY,
  type Found,
  MOST_SYMLINKS,
  PATH_MAX,
  Paths,
  type Place,
  REGULAR,
  SYMLINK,
  typeOf,
} from './memory-paths.js';

const O_EXCL = 0o200;
const O_DIRECTORY = 0o200000;
const O_NOFOLLOW = 0o400000;
const NOREPLACE = 1;
const EXCHANGE = 2;
const WHITEOUT = 4;
const SEEK = { set: 0, current: 1, end: 2 } as const;

type Attributes = Values<'fuse_attr_out'>;

interface OpenFile {
  readonly id: number;
  readonly fh: number;
  readonly flags: number;
  readonly isDirectory: boolean;
  offset: number;
}

/** Makes callers on a new kernel in memory. */
export class MemorySystem implements System {
  readonly kernel = MemoryKernel.started();

  caller(user: User): Promise<Caller> {
    return Promise.resolve(new MemoryCaller(this.kernel, user));
  }

  end(): Promise<void> {
    this.kernel.close();
    return Promise.resolve();
  }
}

class MemoryCaller implements Caller {
  readonly #paths: Paths;
  readonly #slots = new Map<number, OpenFile>();

  constructor(
    readonly kernel: MemoryKernel,
    readonly user: User,
  ) {
    this.#paths = new Paths(kernel, user);
  }

  get #by(): By {
    return { uid: this.user.uid, gid: this.user.gid };
  }

  call(verb: string, ...args: readonly (string | number)[]): Promise<Answer> {
    try {
      const got = this.#do(verb, args.map(String));
      if (typeof got === 'number')
        return Promise.resolve({ value: got, errno: '', rest: [], bytes: '' });
      if (typeof got === 'string')
        return Promise.resolve({ value: got.length, errno: '', rest: [], bytes: got });
      return Promise.resolve({ value: 0, errno: '', rest: got, bytes: '' });
    } catch (error) {
      // ENOTSUP and EOPNOTSUPP are one number with two names.
      if (error instanceof Refused)
        return Promise.resolve({
          value: -1,
          errno: error.code === 'ENOTSUP' ? 'EOPNOTSUPP' : error.code,
          rest: [],
          bytes: '',
        });
      throw error;
    }
  }

  #do(verb: string, [first, ...rest]: string[]): number | string | string[] {
    const number = (i: number): number => Number(rest[i]);
    switch (verb) {
      case 'umask':
        return 0;
      case 'chdir':
        this.#paths.chdir(first);
        return 0;
      case 'open':
        return this.#open(Number(first), rest[0], number(1), number(2));
      case 'close':
        return this.#close(Number(first));
      case 'read':
      case 'pread':
        return this.#read(this.#file(first), number(0), verb === 'pread' ? number(1) : undefined);
      case 'write':
      case 'pwrite':
        return this.#write(this.#file(first), rest[0], verb === 'pwrite' ? number(1) : undefined);
      case 'fill':
        return this.#write(this.#file(first), 'x'.repeat(number(0)), number(1));
      case 'lseek':
        return this.#seek(this.#file(first), number(0), number(1));
      case 'attributes':
        return show(this.kernel.getattr(this.#paths.find(first, false).id));
      case 'fattributes':
        return show(this.kernel.getattr(this.#file(first).id));
      case 'getdents':
        return this.#entries(this.#file(first));
      case 'getdents_some':
        return this.#entriesOfOneCall(this.#file(first), number(0));
      case 'dup':
        this.#slots.set(number(0), this.#file(first));
        return 0;
      case 'statfs':
        this.#paths.find(first, true);
        this.kernel.statfs();
        return 0;
      case 'fsync':
      case 'fdatasync':
        this.#file(first);
        return 0;
      case 'access':
        return this.#access(this.#paths.find(first, true), number(0));
      default:
        return this.#change(verb, first, rest);
    }
  }

  #change(verb: string, first: string, rest: string[]): number | string | string[] {
    const number = (i: number): number => Number(rest[i]);
    switch (verb) {
      case 'mkdir':
        return this.#make(first, (parent, name) =>
          this.kernel.mkdir(name, this.#by, number(0), parent),
        );
      case 'mknod':
        return this.#make(first, (parent, name) =>
          this.kernel.mknod(parent, name, number(0), this.#by),
        );
      case 'symlink':
        return this.#make(rest[0], (parent, name) => {
          if (first.length >= PATH_MAX) throw new Refused('ENAMETOOLONG');
          this.kernel.symlink(parent, name, first, this.#by);
        });
      case 'link':
        return this.#link(this.#paths.find(first, false), rest[0]);
      case 'rename':
        return this.#rename(first, rest[0], number(1) || 0);
      case 'unlink':
      case 'rmdir':
        return this.#remove(first, verb === 'rmdir');
      case 'readlink':
        return this.#readlink(first);
      case 'truncate':
        return this.#truncate(first, number(0));
      case 'ftruncate':
        return this.#ftruncate(this.#file(first), number(0));
      case 'chmod':
      case 'fchmod':
        return this.#chmod(
          verb === 'chmod'
            ? this.#paths.find(first, true)
            : this.#paths.found(this.#file(first).id),
          number(0),
        );
      case 'chown':
        return this.#chown(this.#paths.find(first, false), number(0), number(1));
      case 'utimens':
        return this.#times(this.#paths.find(first, false), [0, -1, 0, -1]);
      case 'times':
        return this.#times(this.#paths.find(first, false), rest.map(Number));
      default:
        return this.#xattr(verb, first, rest);
    }
  }

  #xattr(verb: string, path: string, [name, value]: string[]): number | string {
    const { id } = this.#paths.find(path, false);
    const sized = encode('fuse_getxattr_in', { size: 65536 });
    switch (verb) {
      case 'setxattr': {
        if (!this.#paths.may(this.#paths.found(id), 2)) throw new Refused('EACCES');
        // The short fuse_setxattr_in, which is valid without FUSE_SETXATTR_EXT.
        const head = Buffer.from(Uint32Array.of(value.length, 0).buffer);
        return this.kernel.ask(
          'FUSE_SETXATTR',
          id,
          Buffer.concat([head, cstring(name), Buffer.from(value, 'latin1')]),
          this.#by,
        ).length;
      }
      case 'getxattr':
        if (!this.#paths.may(this.#paths.found(id), 4)) throw new Refused('EACCES');
        return this.kernel
          .ask('FUSE_GETXATTR', id, Buffer.concat([sized, cstring(name)]), this.#by)
          .toString('latin1');
      case 'listxattr':
        return this.kernel.ask('FUSE_LISTXATTR', id, sized, this.#by).toString('latin1');
      case 'removexattr':
        if (!this.#paths.may(this.#paths.found(id), 2)) throw new Refused('EACCES');
        return this.kernel.ask('FUSE_REMOVEXATTR', id, cstring(name), this.#by).length;
      default:
        throw new Error(`the kernel in memory has no ${verb}`);
    }
  }

  #access(found: Found, bits: number): number {
    if (!this.#paths.may(found, bits)) throw new Refused('EACCES');
    return 0;
  }

  #make(path: string, make: (parent: number, name: string) => unknown): number {
    const place = this.#paths.place(path);
    if (this.#paths.at(place) !== undefined) throw new Refused('EEXIST');
    if (!this.#paths.may(this.#paths.found(place.parent), 3)) throw new Refused('EACCES');
    make(place.parent, place.name);
    return 0;
  }

  #link(found: Found, path: string): number {
    if (typeOf(found.mode) === DIRECTORY) throw new Refused('EPERM');
    return this.#make(path, (parent, name) => this.kernel.link(found.id, parent, name));
  }

  #rename(from: string, to: string, flags: number): number {
    if ((flags & EXCHANGE) !== 0 && (flags & (NOREPLACE | WHITEOUT)) !== 0)
      throw new Refused('EINVAL');
    const [source, target] = [this.#paths.place(from), this.#paths.place(to)];
    const removed = this.#paths.at(target);
    const found = this.#paths.lookup(source);
    if (removed !== undefined && (flags & NOREPLACE) !== 0) throw new Refused('EEXIST');
    if (found.id === removed?.id) return 0;
    const isDirectory = typeOf(found.mode) === DIRECTORY;
    this.#paths.mayRemove(source, found, isDirectory);
    if (removed !== undefined) this.#paths.mayRemove(target, removed, isDirectory);
    else if (!this.#paths.may(this.#paths.found(target.parent), 3)) throw new Refused('EACCES');
    this.kernel.rename(source.parent, source.name, target.parent, target.name, flags);
    return 0;
  }

  #remove(path: string, isDirectory: boolean): number {
    const place = this.#paths.place(path);
    if (place.name === '.' || place.name === '..')
      throw new Refused(
        place.name === '.'
          ? isDirectory
            ? 'EINVAL'
            : 'EISDIR'
          : isDirectory
            ? 'ENOTEMPTY'
            : 'EISDIR',
      );
    this.#paths.mayRemove(place, this.#paths.lookup(place), isDirectory);
    if (isDirectory) this.kernel.rmdir(place.name, place.parent);
    else this.kernel.unlink(place.parent, place.name);
    return 0;
  }

  #readlink(path: string): string {
    const { id, mode } = this.#paths.find(path, false);
    if (typeOf(mode) !== SYMLINK) throw new Refused('EINVAL');
    return this.kernel.readlink(id);
  }

  // ---- open files

  #open(slot: number, path: string, flags: number, mode: number): number {
    let place = this.#paths.place(path);
    let found = this.#paths.at(place);
    for (let depth = 0; found !== undefined && typeOf(found.mode) === SYMLINK; depth++) {
      if ((flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0) throw new Refused('EEXIST');
      if ((flags & O_NOFOLLOW) !== 0 || depth > MOST_SYMLINKS) throw new Refused('ELOOP');
      place = this.#paths.place(this.kernel.readlink(found.id), place.parent);
      found = this.#paths.at(place);
    }
    if (found === undefined) return this.#create(slot, place, flags, mode);
    if ((flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0) throw new Refused('EEXIST');
    const isDirectory = typeOf(found.mode) === DIRECTORY;
    const access = [4, 2, 6][flags & 3] | ((flags & O_TRUNC) !== 0 ? 2 : 0);
    if (isDirectory && (access !== 4 || (flags & O_CREAT) !== 0)) throw new Refused('EISDIR');
    if (!isDirectory && (flags & O_DIRECTORY) !== 0) throw new Refused('ENOTDIR');
    if (!this.#paths.may(found, access)) throw new Refused('EACCES');
    const fh = isDirectory
      ? this.kernel.opendir(found.id)
      : this.kernel.open(found.id, flags & ~O_CREAT, this.#by);
    this.#slots.set(slot, { id: found.id, fh, flags, isDirectory, offset: 0 });
    return 0;
  }

  #create(slot: number, place: Place, flags: number, mode: number): number {
    if ((flags & O_CREAT) === 0) throw new Refused('ENOENT');
    if (!this.#paths.may(this.#paths.found(place.parent), 3)) throw new Refused('EACCES');
    const { nodeid, fh } = this.kernel.create(place.parent, place.name, flags, mode, this.#by);
    this.#slots.set(slot, { id: nodeid, fh, flags, isDirectory: false, offset: 0 });
    return 0;
  }

  #file(slot: string): OpenFile {
    const file = this.#slots.get(Number(slot));
    if (file === undefined) throw new Refused('EBADF');
    return file;
  }

  #close(slot: number): number {
    const file = this.#file(String(slot));
    this.#slots.delete(slot);
    if ([...this.#slots.values()].includes(file)) return 0; // a duplicate of it is open
    if (file.isDirectory) this.kernel.releasedir(file.fh);
    else this.kernel.release(file.fh);
    return 0;
  }

  #read(file: OpenFile, size: number, offset?: number): string {
    if (file.isDirectory) throw new Refused('EISDIR');
    if ((file.flags & 3) === 1) throw new Refused('EBADF');
    const text = this.kernel.read(file.fh, size, offset ?? file.offset, file.flags);
    if (offset === undefined) file.offset += text.length;
    return text;
  }

  #write(file: OpenFile, text: string, offset?: number): number {
    if ((file.flags & 3) === 0) throw new Refused('EBADF');
    if (text === '') return 0; // the kernel sends no request
    const appends = (file.flags & O_APPEND) !== 0;
    const at = appends ? this.kernel.getattr(file.id)['attr.size'] : (offset ?? file.offset);
    const written = this.kernel.write(file.fh, text, at, file.flags, this.#by);
    if (offset === undefined) file.offset = at + written;
    return written;
  }

  #seek(file: OpenFile, offset: number, whence: number): number {
    const base =
      whence === SEEK.set
        ? 0
        : whence === SEEK.current
          ? file.offset
          : this.kernel.getattr(file.id)['attr.size'];
    if (whence > SEEK.end) throw new Error('the kernel in memory seeks no holes');
    if (base + offset < 0) throw new Refused('EINVAL');
    file.offset = base + offset;
    return file.offset;
  }

  #entries({ fh }: OpenFile): string[] {
    const listed: string[] = [];
    for (
      let got = this.kernel.readdir(fh, 0);
      got.length > 0;
      got = this.kernel.readdir(fh, got[got.length - 1].off)
    ) {
      listed.push(...got.map(({ name, ino, type }) => `${name}/${ino}/${type}`));
    }
    return listed;
  }

  #entriesOfOneCall(file: OpenFile, size: number): number | string[] {
    const got = this.kernel.readdir(file.fh, file.offset, size);
    if (got.length === 0) return 0;
    file.offset = got[got.length - 1].off;
    return got.map(({ name }) => name);
  }

  // ---- attributes

  #set(id: number, changes: Partial<Values<'fuse_setattr_in'>>): number {
    this.kernel.setattr(id, changes, this.#by);
    return 0;
  }

  #truncate(path: string, size: number): number {
    const found = this.#paths.find(path, true);
    if (typeOf(found.mode) === DIRECTORY) throw new Refused('EISDIR');
    if (size < 0 || typeOf(found.mode) !== REGULAR) throw new Refused('EINVAL');
    if (!this.#paths.may(found, 2)) throw new Refused('EACCES');
    return this.#set(found.id, { valid: Valid.FATTR_SIZE, size, ...this.#withoutSetIds(found) });
  }

  #ftruncate({ id, fh, flags }: OpenFile, size: number): number {
    if ((flags & 3) === 0 || size < 0) throw new Refused('EINVAL');
    return this.#set(id, {
      valid: Valid.FATTR_SIZE,
      size,
      fh,
      ...this.#withoutSetIds(this.#paths.found(id)),
    });
  }

  /**
   * Returns the change that clears set-id bits if an unprivileged user truncates (fs/open.c,
   * do_truncate).
   */
  #withoutSetIds({ mode }: Found): { valid?: number; mode?: number } {
    const drops = 0o4000 | ((mode & 0o10) !== 0 ? 0o2000 : 0);
    return this.user.uid === 0 || (mode & drops) === 0
      ? {}
      : { valid: Valid.FATTR_SIZE | Valid.FATTR_MODE, mode: mode & ~drops };
  }

  #chmod({ id, uid, gid }: Found, mode: number): number {
    const { user } = this;
    if (user.uid !== 0 && user.uid !== uid) throw new Refused('EPERM');
    const inGroup = user.uid === 0 || user.gid === gid || user.groups.includes(gid);
    return this.#set(id, { valid: Valid.FATTR_MODE, mode: inGroup ? mode : mode & ~0o2000 });
  }

  /**
   * Makes chown(2): only root may change the owner; the owner may change the group to one of his
   * own. Set-id bits are cleared.
   */
  #chown({ id, mode, uid }: Found, newUid: number, newGid: number): number {
    const { user } = this;
    const mine =
      user.uid === uid &&
      (newUid === -1 || newUid === uid) &&
      (newGid === -1 || newGid === user.gid || user.groups.includes(newGid));
    if (user.uid !== 0 && !mine) throw new Refused('EPERM');
    const drops = typeOf(mode) === DIRECTORY ? 0 : 0o4000 | ((mode & 0o10) !== 0 ? 0o2000 : 0);
    return this.#set(id, {
      valid:
        (newUid === -1 ? 0 : Valid.FATTR_UID) |
        (newGid === -1 ? 0 : Valid.FATTR_GID) |
        ((mode & drops) === 0 ? 0 : Valid.FATTR_MODE),
      uid: newUid,
      gid: newGid,
      mode: mode & ~drops,
    });
  }

  #times(found: Found, [atime, atimensec, mtime, mtimensec]: number[]): number {
    const allNow = atimensec === -1 && mtimensec === -1;
    if (atimensec === -2 && mtimensec === -2) return 0;
    if (
      this.user.uid !== 0 &&
      this.user.uid !== found.uid &&
      !(allNow && this.#paths.may(found, 2))
    )
      throw new Refused(allNow ? 'EACCES' : 'EPERM');
    const bits = (nsec: number, set: number, now: number): number =>
      nsec === -2 ? 0 : nsec === -1 ? set | now : set;
    return this.#set(found.id, {
      valid:
        bits(atimensec, Valid.FATTR_ATIME, Valid.FATTR_ATIME_NOW) |
        bits(mtimensec, Valid.FATTR_MTIME, Valid.FATTR_MTIME_NOW),
      atime,
      mtime,
      atimensec: Math.max(0, atimensec),
      mtimensec: Math.max(0, mtimensec),
    });
  }
}

/** Returns the attributes as stream-calls.c prints them. */
function show(got: Attributes): string[] {
  const time = (which: 'atime' | 'mtime' | 'ctime'): string =>
    `${got[`attr.${which}`]}.${String(got[`attr.${which}nsec`]).padStart(9, '0')}`;
  return [
    String(got['attr.ino']),
    String(got['attr.size']),
    got['attr.mode'].toString(8),
    String(got['attr.nlink']),
    String(got['attr.uid']),
    String(got['attr.gid']),
    time('atime'),
    time('mtime'),
    time('ctime'),
    String(got['attr.blocks']),
  ];
}
