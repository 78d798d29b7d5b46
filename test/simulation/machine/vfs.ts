/**
 * The kernel's VFS above one FUSE connection: inodes with lookup counts, dentries that each walk
 * revalidates, ESTALE retries, and open files (fs/namei.c, fs/fuse/dir.c, fs/fuse/file.c).
 */
import { Errno } from '../../../fs/shared/errors.js';
import { FUSE_ROOT_ID } from '../../../fs/fuse/abi.js';
import type { Device } from './device.js';
import type { SimProcess } from './processes.js';
import { type OpcodeName, type SimReply, SimRequest } from './request.js';

/** An inode that the kernel knows. */
class Inode {
  /** The lookup count. */
  lookups = 0;
  /** The number of dentries, open files and system calls that refer to it. */
  references = 0;
  readonly children = new Map<string, Inode>();

  constructor(
    readonly nodeid: number,
    /** The type bits of st_mode. */
    readonly type: number,
  ) {}
}

/** An open file description. */
export class OpenFile {
  /** The processes that have it open. */
  holders = 1;
  /** How many requests of it are on the way; RELEASE waits for them. */
  busy = 0;
  offset = 0;
  isReleased = false;
  /** Whether the daemon has named its poll key since the last poll. */
  isWoken = false;

  constructor(
    readonly inode: Inode,
    readonly fh: number,
    readonly flags: number,
    readonly isDirectory: boolean,
    readonly pollKey: number,
    /** The name under which it was opened. */
    readonly name: string,
  ) {}
}

/** A system call: it yields requests, or an open file whose poll wake-up it waits for. */
export type Call<T = number> = Generator<SimRequest | OpenFile, T, SimReply>;

const TYPE_OFFSET = 100;
const TYPE_MASK = 0o170000;
const DIRECTORY = 0o040000;

function u64(body: Buffer, at: number): number {
  return body.readUInt32LE(at) + body.readUInt32LE(at + 4) * 2 ** 32;
}

/** The caches of one mount. */
export class Vfs {
  readonly inodes = new Map<number, Inode>();
  readonly root = new Inode(FUSE_ROOT_ID, DIRECTORY);
  readonly files = new Map<number, OpenFile>();
  #pollKeys = 0;

  constructor(readonly device: Device) {
    this.root.references = 1;
  }

  /** Makes a request of a process. */
  request(op: OpcodeName, by: SimProcess | null, inode: Inode | null): SimRequest {
    const request = new SimRequest(op);
    if (inode !== null) request.nodeid = inode.nodeid;
    if (by !== null) {
      request.uid = by.effectiveUid;
      request.gid = by.gid;
      request.pid = by.pid;
    }
    return request;
  }

  /** Takes a fuse_entry_out: counts the lookup and enters the dentry. */
  enter(parent: Inode, name: string, body: Buffer): Inode {
    const inode = this.#count(body);
    this.#link(parent, name, inode);
    return inode;
  }

  #count(body: Buffer): Inode {
    const nodeid = u64(body, 0);
    let inode = this.inodes.get(nodeid);
    if (inode === undefined) {
      inode = new Inode(nodeid, body.readUInt32LE(TYPE_OFFSET) & TYPE_MASK);
      this.inodes.set(nodeid, inode);
    }
    inode.lookups++;
    return inode;
  }

  #link(parent: Inode, name: string, inode: Inode): void {
    if (parent.children.get(name) === inode) return;
    parent.references++;
    inode.references++;
    this.drop(parent, name);
    parent.children.set(name, inode);
  }

  /** Drops a dentry, and those below it. */
  drop(parent: Inode, name: string): void {
    const inode = parent.children.get(name);
    if (inode === undefined) return;
    parent.children.delete(name);
    for (const child of [...inode.children.keys()]) this.drop(inode, child);
    this.put(inode);
    this.put(parent);
  }

  /** Returns the inodes that have dentries below them, but the root. */
  parents(): Inode[] {
    return [...this.inodes.values()].filter(({ children }) => children.size > 0);
  }

  /** Drops all dentries. */
  dropAll(): void {
    for (const inode of [...this.parents(), this.root])
      for (const name of [...inode.children.keys()]) this.drop(inode, name);
  }

  /** Takes a reference from an inode; the last one evicts it, which sends a FORGET. */
  put(inode: Inode): void {
    if (--inode.references > 0) return;
    this.inodes.delete(inode.nodeid);
    this.device.forget(inode.nodeid, inode.lookups);
  }

  /**
   * Finds a name in a directory. The caller gets a reference.
   *
   * @returns the inode, or the errno
   */
  *lookup(by: SimProcess, parent: Inode, name: string): Call<Inode | number> {
    const request = this.request('FUSE_LOOKUP', by, parent);
    request.name = name;
    const known = parent.children.get(name);
    if (known !== undefined) {
      const { errno, body } = yield request;
      if (errno === 0) {
        const nodeid = u64(body, 0);
        if (parent.children.get(name)?.nodeid === nodeid) {
          const inode = this.#count(body);
          inode.references++;
          return inode;
        }
        this.device.forget(nodeid, 1);
      } else if (errno === Errno.EINTR) return errno;
      this.drop(parent, name);
    }
    const again = this.request('FUSE_LOOKUP', by, parent);
    again.name = name;
    const { errno, body } = yield again;
    if (errno !== 0) return errno;
    const inode = this.enter(parent, name, body);
    inode.references++;
    return inode;
  }

  /**
   * Resolves the directory of a path of one or two names. The caller gets a reference.
   *
   * @returns the directory, or the errno
   */
  *parent(by: SimProcess, path: readonly string[]): Call<Inode | number> {
    if (path.length > 1) {
      const inode = yield* this.lookup(by, this.root, path[0]);
      if (typeof inode === 'number' || inode.type === DIRECTORY) return inode;
      this.put(inode);
      return Errno.ENOTDIR;
    }
    this.root.references++;
    return this.root;
  }

  /**
   * Resolves a path. The caller gets a reference.
   *
   * @returns the inode, or the errno
   */
  *walk(by: SimProcess, path: readonly string[]): Call<Inode | number> {
    const parent = yield* this.parent(by, path);
    if (typeof parent === 'number') return parent;
    const inode = yield* this.lookup(by, parent, path[path.length - 1]);
    this.put(parent);
    return inode;
  }

  /** Repeats a call that fails with ESTALE once, as retry_estale() does. */
  *retrying(call: () => Call): Call {
    const errno = yield* call();
    return errno === Errno.ESTALE ? yield* call() : errno;
  }

  /** Opens a path, and calls `opened` with the file. */
  *open(
    by: SimProcess,
    path: readonly string[],
    flags: number,
    opened: (file: OpenFile) => void,
  ): Call {
    return yield* this.retrying(() => this.#open(by, path, flags, opened));
  }

  *#open(
    by: SimProcess,
    path: readonly string[],
    flags: number,
    opened: (file: OpenFile) => void,
  ): Call {
    const inode = path.length === 0 ? this.root : yield* this.walk(by, path);
    if (typeof inode === 'number') return inode;
    if (path.length === 0) inode.references++;
    const isDirectory = inode.type === DIRECTORY;
    if (!isDirectory && inode.type !== 0o100000) {
      this.put(inode);
      return Errno.ELOOP;
    }
    const request = this.request(isDirectory ? 'FUSE_OPENDIR' : 'FUSE_OPEN', by, inode);
    request.flags = isDirectory ? 0 : flags;
    const { errno, body } = yield request;
    if (errno === 0)
      opened(this.addFile(inode, u64(body, 0), flags, isDirectory, path[path.length - 1] ?? '/'));
    else this.put(inode);
    return errno;
  }

  /** Opens a path with O_CREAT. */
  *create(
    by: SimProcess,
    path: readonly string[],
    flags: number,
    mode: number,
    opened: (file: OpenFile) => void,
  ): Call {
    const parent = yield* this.parent(by, path);
    if (typeof parent === 'number') return parent;
    const name = path[path.length - 1];
    const found = yield* this.lookup(by, parent, name);
    if (found !== Errno.ENOENT) {
      this.put(parent);
      if (typeof found === 'number') return found;
      this.put(found);
      return Errno.EEXIST;
    }
    const request = this.request('FUSE_CREATE', by, parent);
    request.name = name;
    request.flags = flags;
    request.mode = mode;
    const { errno, body } = yield request;
    if (errno === 0) {
      const inode = this.enter(parent, name, body);
      inode.references++;
      opened(this.addFile(inode, u64(body, 128), flags, false, name));
    } else this.drop(parent, name);
    this.put(parent);
    return errno;
  }

  /** Enters an open file, which takes over the caller's reference to the inode. */
  addFile(inode: Inode, fh: number, flags: number, isDirectory: boolean, name: string): OpenFile {
    const file = new OpenFile(inode, fh, flags, isDirectory, ++this.#pollKeys, name);
    this.files.set(file.pollKey, file);
    return file;
  }

  /** Takes one holder from an open file; the last one sends RELEASE. */
  close(file: OpenFile): void {
    file.holders--;
    this.releaseUnused(file);
  }

  /** Sends RELEASE if no process holds the file and no request of it is on the way. */
  releaseUnused(file: OpenFile): void {
    if (file.holders > 0 || file.busy > 0 || file.isReleased) return;
    file.isReleased = true;
    this.files.delete(file.pollKey);
    const { inode, fh, isDirectory } = file;
    const request = this.request(isDirectory ? 'FUSE_RELEASEDIR' : 'FUSE_RELEASE', null, inode);
    request.fh = fh;
    request.onReply = () => this.put(inode);
    this.device.send(request);
  }

  /** Makes a request of an open file. */
  *ofFile(
    op: OpcodeName,
    by: SimProcess,
    file: OpenFile,
    fill: (request: SimRequest) => void,
  ): Call<SimReply> {
    const request = this.request(op, by, file.inode);
    request.fh = file.fh;
    fill(request);
    return yield request;
  }

  /** Makes a request of the inode of a path. */
  *ofPath(
    op: OpcodeName,
    by: SimProcess,
    path: readonly string[],
    fill: (request: SimRequest) => void,
  ): Call {
    return yield* this.retrying(() => this.#ofPath(op, by, path, fill));
  }

  *#ofPath(
    op: OpcodeName,
    by: SimProcess,
    path: readonly string[],
    fill: (request: SimRequest) => void,
  ): Call {
    const inode = path.length === 0 ? this.root : yield* this.walk(by, path);
    if (typeof inode === 'number') return inode;
    if (path.length === 0) inode.references++;
    const request = this.request(op, by, inode);
    fill(request);
    const { errno } = yield request;
    this.put(inode);
    return errno;
  }

  /** Makes a name: mkdir(2), mknod(2), symlink(2), link(2). */
  *make(
    op: OpcodeName,
    by: SimProcess,
    path: readonly string[],
    fill: (request: SimRequest) => void,
  ): Call {
    return yield* this.retrying(() => this.#make(op, by, path, fill));
  }

  *#make(
    op: OpcodeName,
    by: SimProcess,
    path: readonly string[],
    fill: (request: SimRequest) => void,
  ): Call {
    const parent = yield* this.parent(by, path);
    if (typeof parent === 'number') return parent;
    const name = path[path.length - 1];
    const found = yield* this.lookup(by, parent, name);
    if (found !== Errno.ENOENT) {
      this.put(parent);
      if (typeof found === 'number') return found;
      this.put(found);
      return Errno.EEXIST;
    }
    const request = this.request(op, by, parent);
    request.name = name;
    fill(request);
    const { errno, body } = yield request;
    if (errno === 0) this.enter(parent, name, body);
    this.put(parent);
    return errno;
  }

  /** Links the file of a path to another path. */
  *link(by: SimProcess, from: readonly string[], to: readonly string[]): Call {
    return yield* this.retrying(() => this.#linkPath(by, from, to));
  }

  *#linkPath(by: SimProcess, from: readonly string[], to: readonly string[]): Call {
    const inode = yield* this.walk(by, from);
    if (typeof inode === 'number') return inode;
    const errno =
      inode.type === DIRECTORY
        ? Errno.EPERM
        : yield* this.#make('FUSE_LINK', by, to, (request) => (request.target = inode.nodeid));
    this.put(inode);
    return errno;
  }

  /** Removes a name: unlink(2), rmdir(2). */
  *remove(op: 'FUSE_UNLINK' | 'FUSE_RMDIR', by: SimProcess, path: readonly string[]): Call {
    return yield* this.retrying(() => this.#remove(op, by, path));
  }

  *#remove(op: OpcodeName, by: SimProcess, path: readonly string[]): Call {
    const parent = yield* this.parent(by, path);
    if (typeof parent === 'number') return parent;
    const name = path[path.length - 1];
    const inode = yield* this.lookup(by, parent, name);
    let errno: number;
    if (typeof inode === 'number') errno = inode;
    else if ((inode.type === DIRECTORY) !== (op === 'FUSE_RMDIR')) errno = Errno.EISDIR;
    else {
      const request = this.request(op, by, parent);
      request.name = name;
      ({ errno } = yield request);
      if (errno === 0 || errno === Errno.ENOENT || errno === Errno.EINTR) this.drop(parent, name);
    }
    if (typeof inode !== 'number') this.put(inode);
    this.put(parent);
    return errno;
  }

  /** Renames a path. */
  *rename(
    by: SimProcess,
    from: readonly string[],
    to: readonly string[],
    isNoReplace: boolean,
  ): Call {
    return yield* this.retrying(() => this.#rename(by, from, to, isNoReplace));
  }

  *#rename(
    by: SimProcess,
    from: readonly string[],
    to: readonly string[],
    isNoReplace: boolean,
  ): Call {
    const held: Inode[] = [];
    const end = (errno: number): number => {
      for (const inode of held) this.put(inode);
      return errno;
    };
    const [oldParent, newParent] = [yield* this.parent(by, from), yield* this.parent(by, to)];
    if (typeof oldParent !== 'number') held.push(oldParent);
    if (typeof newParent !== 'number') held.push(newParent);
    if (typeof oldParent === 'number') return end(oldParent);
    if (typeof newParent === 'number') return end(newParent);
    const [name, newName] = [from[from.length - 1], to[to.length - 1]];
    const inode = yield* this.lookup(by, oldParent, name);
    if (typeof inode === 'number') return end(inode);
    held.push(inode);
    const replaced = yield* this.lookup(by, newParent, newName);
    if (typeof replaced !== 'number') {
      held.push(replaced);
      if (isNoReplace) return end(Errno.EEXIST);
      if (replaced === inode) return end(0);
      if ((replaced.type === DIRECTORY) !== (inode.type === DIRECTORY)) return end(Errno.EISDIR);
    } else if (replaced !== Errno.ENOENT) return end(replaced);
    const request = this.request('FUSE_RENAME2', by, oldParent);
    request.target = newParent.nodeid;
    request.name = name;
    request.other = newName;
    request.flags = isNoReplace ? 1 : 0;
    const { errno } = yield request;
    if (errno === 0) {
      // d_move(): the dentry keeps the inode, under the new name.
      this.drop(oldParent, name);
      this.#link(newParent, newName, inode);
    } else if (errno === Errno.EINTR) {
      this.drop(oldParent, name);
      this.drop(newParent, newName);
    }
    return end(errno);
  }

  /** Reads a name's target. */
  *readlink(by: SimProcess, path: readonly string[]): Call {
    const inode = yield* this.walk(by, path);
    if (typeof inode === 'number') return inode;
    const { errno } =
      inode.type === 0o120000
        ? yield this.request('FUSE_READLINK', by, inode)
        : { errno: Errno.EINVAL };
    this.put(inode);
    return errno;
  }
}
