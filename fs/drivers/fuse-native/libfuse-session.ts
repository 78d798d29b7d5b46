/**
 * Extends the class of fuse-native, and replaces its parts that are wrong or missing.
 *
 * fuse-native passes each call on from a thread of libfuse, which waits for a semaphore until the
 * daemon answers. Its own index.js accepts only a few options, shows a link count of 0 as 1,
 * answers getxattr(2) with more bytes than were asked for, and unmounts by a shell command.
 */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type FuseClass from 'fuse-native';
import type { Signal } from 'fuse-native';
import type loadAddonOf from 'node-gyp-build';
import { Errno, FsError, NOT_FOUND, errnoName } from '../../shared/errors.js';
import { quoted } from '../../shared/escape.js';
import type { Logger } from '../../shared/logger.js';
import type { TraceLine } from '../../shared/trace.js';
import type { Attributes } from '../../tree/nodes/attributes.js';
import type { Listing } from '../../tree/nodes/directory.js';
import { type PathCalls, toUtf8 } from './path-calls.js';

/** The addon of fuse-native, as far as eventfs uses it. */
interface Addon {
  readonly sizeof_fuse_thread_t: number;
  readonly op_read: number;
  fuse_native_mount(
    path: string,
    options: string,
    thread: Uint8Array,
    ...rest: readonly unknown[]
  ): void;
  /** Lets the event loop end. It does not unmount. */
  fuse_native_unmount(path: string, thread: Uint8Array): void;
}

// Not by `import`: without libfuse it fails twice, and one of the errors can't be caught.
const require = createRequire(import.meta.url);
const Fuse = require('fuse-native') as typeof FuseClass;
const loadAddon = require('node-gyp-build') as typeof loadAddonOf;
const addon = loadAddon(dirname(require.resolve('fuse-native'))) as Addon;

/**
 * The signal that libfuse sends to a thread whose caller was interrupted. It is a real-time signal
 * that no other part of the daemon uses.
 */
export const INTERRUPT_SIGNAL = 40;

/** The longest path that the addon takes, in bytes. It cuts longer paths off. */
export const LONGEST_PATH_BYTES = 1023;

/** The options of libfuse. */
const OPTIONS = [
  'fsname=eventfs',
  'subtype=eventfs',
  'default_permissions',
  'allow_other',
  'noexec',
  'use_ino',
  // The kernel caches nothing (docs/design.md, section 4)
  'entry_timeout=0',
  'attr_timeout=0',
  'ac_attr_timeout=0',
  'negative_timeout=0',
  'direct_io',
  'max_readahead=0',
  'atomic_o_trunc',
  'big_writes',
  // Without these a killed reader would not end before the next event
  'intr',
  `intr_signal=${INTERRUPT_SIGNAL}`,
];

/** The operations that eventfs serves, by fuse-native's names. */
const OPERATIONS = [
  'statfs',
  'fgetattr',
  'getattr',
  'readdir',
  'truncate',
  'ftruncate',
  'utimens',
  'readlink',
  'chown',
  'chmod',
  'mknod',
  'setxattr',
  'getxattr',
  'listxattr',
  'removexattr',
  'open',
  'read',
  'write',
  'fsync',
  'fsyncdir',
  'release',
  'create',
  'unlink',
  'rename',
  'link',
  'symlink',
  'mkdir',
  'rmdir',
] as const;

const TWO_32 = 2 ** 32;
const PREFERRED_IO_BYTES = 4096;
/** The unit of st_blocks (stat(2)). */
const BLOCK_BYTES = 512;

/** A read(2) that the driver may park. */
export interface AskedRead {
  readonly fh: number;
  readonly offset: number;
  /** The reader's buffer. The driver must not touch it after the answer. */
  readonly bytes: Uint8Array;
  /** The memory of the libfuse thread that waits. It contains the thread's semaphore. */
  readonly thread: Uint8Array;
  /** Answers the read with the number of bytes, or with a negative errno. */
  readonly done: (result: number) => void;
}

/** The driver, as far as a session needs it. */
export interface SessionEnds {
  readonly calls: PathCalls;
  readonly logger: Logger;
  /** Drains the deaths. The session calls it before it looks at a call. */
  drain(): void;
  /**
   * Serves a read, or parks it.
   * @returns the number of bytes, or undefined if the read is parked
   */
  read(read: AskedRead): number | undefined;
}

/** One mount by libfuse. */
export class LibfuseSession extends Fuse {
  /** The memory of the libfuse thread whose read(2) is being served. */
  #waiting: Uint8Array = new Uint8Array(0);
  /** Why the last failed call has failed, for the trace. */
  #why: string | undefined = undefined;
  /** How many calls were traced. */
  #traced = 0;

  /** @param path the mount point, at most LONGEST_PATH_BYTES */
  constructor(
    path: string,
    private readonly ends: SessionEnds,
  ) {
    super(path, Object.fromEntries(OPERATIONS.map((name) => [name, true])), { timeout: false });
    const read = this._handlers[addon.op_read];
    this._handlers[addon.op_read] = (thread, ...rest) => {
      this.#waiting = thread;
      read(thread, ...rest);
    };
  }

  /**
   * Mounts by libfuse.
   * @returns a promise that resolves after INIT
   */
  async begin(): Promise<void> {
    await new Promise<void>((done, failed) => {
      this._thread = Buffer.alloc(addon.sizeof_fuse_thread_t);
      this._openCallback = (error) => (error === null ? done() : failed(error));
      const implemented = this._getImplementedArray();
      addon.fuse_native_mount(
        this.mnt,
        this._fuseOptions(),
        this._thread,
        this,
        this._malloc,
        this._handlers,
        implemented,
      );
    });
  }

  /** Releases what keeps the event loop alive, so that the process can end. It does not unmount. */
  letGo(): void {
    addon.fuse_native_unmount(this.mnt, this._thread);
  }

  /** Returns the options for libfuse, in the place of fuse-native's. */
  override _fuseOptions(): string {
    return `-o${OPTIONS.join(',')}`;
  }

  /**
   * Switches the trace of calls on or off. fuse-native finds the methods by name, so a method of
   * the object takes the place of the class's.
   * @param line writes a line of the trace; null for no trace
   */
  traceTo(line: TraceLine | null): void {
    const own = this as unknown as Record<string, Operation | undefined>;
    for (const name of OPERATIONS) {
      const method = `_op_${name}`;
      delete own[method];
      const work = own[method]!;
      if (line !== null)
        own[method] = (signal, ...rest) => this.#trace(line, name, work, signal, rest);
    }
  }

  /** Serves a call by `work`, with a line before it and a line for its answer. */
  #trace(
    line: TraceLine,
    name: string,
    work: Operation,
    signal: Signal,
    rest: readonly unknown[],
  ): void {
    const id = ++this.#traced;
    line(`-> #${id} ${name} ${rest.map(shown).join(' ')}`, { unique: String(id), opcode: name });
    this.#why = undefined;
    let isAnswered = false;
    let isParked = false;
    const tell: Signal = (result, ...more) => {
      const why =
        result >= 0
          ? undefined
          : isParked
            ? 'a signal came for the reader, or its read was in the way of others'
            : this.#reason(rest[0]);
      const outcome =
        result < 0
          ? `${errnoName(-result)}${why === undefined ? '' : ` (${why})`}`
          : `OK${result > 0 ? ` ${result}` : ''}${isParked ? ' (was parked)' : ''}`;
      line(`<- #${id} ${outcome}`, {
        unique: String(id),
        opcode: name,
        errno: result < 0 ? errnoName(-result) : undefined,
        reason: why,
      });
      isAnswered = true;
      signal(result, ...more);
    };
    work.call(this, tell, ...rest);
    if (isAnswered) return;
    isParked = true;
    line(`<- #${id} (parked)`, { unique: String(id), opcode: name });
  }

  /**
   * Returns why the call that is being served has failed.
   * @param path the call's first argument
   */
  #reason(path: unknown): string | undefined {
    return this.#why === NOT_FOUND && typeof path === 'string'
      ? this.ends.calls.whyNotFound(path)
      : this.#why;
  }

  /**
   * Drains the deaths, does `work`, and answers with its result or with the errno that it throws.
   */
  #serve(
    name: string,
    path: string,
    done: (result: number) => void,
    work: () => number | void,
  ): void {
    let result: number;
    try {
      this.ends.drain();
      result = work() ?? 0;
    } catch (error) {
      result = -this.#failed(name, path, error);
    }
    done(result);
  }

  /**
   * Notes the reason of an error for the trace. Logs an unexpected error, and a mkdir(2) that fails
   * with EPERM.
   * @returns the errno to answer with; EIO for an unexpected error
   */
  #failed(name: string, path: string, error: unknown): number {
    if (!(error instanceof FsError)) {
      this.ends.logger.error(`${name} of ${path}`, error);
      this.#why = `the daemon has failed: ${String(error)}`;
      return Errno.EIO;
    }
    this.#why = error.why;
    // With devfuse this mkdir(2) may succeed, so the log says why it fails here.
    if (name === 'mkdir' && error.errno === Errno.EPERM)
      this.ends.logger.warn(`mkdir: ${errnoName(error.errno)}: ${error.why}`);
    return error.errno;
  }

  // ---- operations: fuse-native calls `_op_<name>` for each call, and `signal` answers it.
  // PathCalls documents the system calls and the errors.

  _op_statfs(signal: Signal, path: string): void {
    const fields = new Uint32Array(11);
    this.#serve(
      'statfs',
      path,
      (result) => signal(result, fields),
      () => fields.set(this.ends.calls.statfs()),
    );
  }

  _op_getattr(signal: Signal, path: string): void {
    const stat = new Uint32Array(18);
    this.#serve(
      'getattr',
      path,
      (result) => signal(result, stat),
      () => fill(stat, this.ends.calls.getattr(path)),
    );
  }

  _op_fgetattr(signal: Signal, path: string, fh: number): void {
    const stat = new Uint32Array(18);
    this.#serve(
      'fgetattr',
      path,
      (result) => signal(result, stat),
      () => fill(stat, this.ends.calls.fgetattr(fh)),
    );
  }

  _op_readdir(signal: Signal, path: string): void {
    const names: string[] = [];
    const stats: Uint32Array[] = [];
    const listing: Listing = {
      add(ino, type, name) {
        const stat = new Uint32Array(18);
        stat[0] = type;
        stat[7] = ino;
        stats.push(stat);
        names.push(toUtf8(name));
        return true;
      },
    };
    this.#serve(
      'readdir',
      path,
      (result) => signal(result, names, stats),
      () => this.ends.calls.readdir(path, listing),
    );
  }

  _op_truncate(signal: Signal, path: string, sizeLow: number, sizeHigh: number): void {
    this.#serve('truncate', path, signal, () =>
      this.ends.calls.truncate(path, sizeLow + sizeHigh * TWO_32),
    );
  }

  _op_ftruncate(signal: Signal, path: string, fh: number, sizeLow: number, sizeHigh: number): void {
    this.#serve('ftruncate', path, signal, () =>
      this.ends.calls.ftruncate(fh, sizeLow + sizeHigh * TWO_32),
    );
  }

  /** fuse-native passes the access time twice, and does not pass the modification time. */
  _op_utimens(signal: Signal, path: string, atimeLow: number, atimeHigh: number): void {
    const ms = atimeLow + atimeHigh * TWO_32;
    this.#serve('utimens', path, signal, () => this.ends.calls.utimens(path, ms, ms));
  }

  _op_readlink(signal: Signal, path: string): void {
    let target = '';
    const work = (): void => void (target = this.ends.calls.readlink(path));
    this.#serve('readlink', path, (result) => signal(result, target), work);
  }

  _op_chown(signal: Signal, path: string, uid: number, gid: number): void {
    this.#serve('chown', path, signal, () => this.ends.calls.chown(path, uid, gid));
  }

  _op_chmod(signal: Signal, path: string, mode: number): void {
    this.#serve('chmod', path, signal, () => this.ends.calls.chmod(path, mode));
  }

  _op_mknod(signal: Signal, path: string, mode: number): void {
    this.#serve('mknod', path, signal, () => this.ends.calls.mknod(path, mode));
  }

  _op_setxattr(
    signal: Signal,
    path: string,
    name: string,
    value: Buffer,
    _position: number,
    flags: number,
  ): void {
    const done = (result: number): void => signal(result, value.buffer);
    this.#serve('setxattr', path, done, () =>
      this.ends.calls.setxattr(path, name, value.toString('latin1'), flags),
    );
  }

  _op_getxattr(signal: Signal, path: string, name: string, room: Buffer): void {
    const done = (result: number): void => signal(result, room.buffer);
    this.#serve('getxattr', path, done, () => sized(room, this.ends.calls.getxattr(path, name)));
  }

  _op_listxattr(signal: Signal, path: string, room: Buffer): void {
    const done = (result: number): void => signal(result, room.buffer);
    this.#serve('listxattr', path, done, () => sized(room, this.ends.calls.listxattr(path)));
  }

  _op_removexattr(signal: Signal, path: string, name: string): void {
    this.#serve('removexattr', path, signal, () => this.ends.calls.removexattr(path, name));
  }

  _op_open(signal: Signal, path: string, flags: number): void {
    this.#open('open', signal, path, () => this.ends.calls.open(path, flags));
  }

  _op_create(signal: Signal, path: string, mode: number): void {
    this.#open('create', signal, path, () => this.ends.calls.create(path, mode));
  }

  #open(name: string, signal: Signal, path: string, work: () => number): void {
    let fh = 0;
    this.#serve(
      name,
      path,
      (result) => signal(result, fh),
      () => void (fh = work()),
    );
  }

  _op_read(
    signal: Signal,
    path: string,
    fh: number,
    bytes: Buffer,
    _length: number,
    offsetLow: number,
    offsetHigh: number,
  ): void {
    const thread = this.#waiting;
    const done = (result: number): void => signal(result, 0, bytes.buffer);
    const read = { fh, offset: offsetLow + offsetHigh * TWO_32, bytes, thread, done };
    let isKept = false;
    const work = (): number => {
      const count = this.ends.read(read);
      isKept = count === undefined;
      return count ?? 0;
    };
    this.#serve('read', path, (result) => isKept || done(result), work);
  }

  _op_write(
    signal: Signal,
    path: string,
    fh: number,
    bytes: Buffer,
    length: number,
    offsetLow: number,
    offsetHigh: number,
  ): void {
    const done = (result: number): void => signal(result, 0, bytes.buffer);
    this.#serve('write', path, done, () =>
      this.ends.calls.write(fh, bytes, length, offsetLow + offsetHigh * TWO_32),
    );
  }

  _op_fsync(signal: Signal, path: string, _datasync: number, fh: number): void {
    this.#serve('fsync', path, signal, () => this.ends.calls.fsync(fh));
  }

  _op_fsyncdir(signal: Signal, path: string): void {
    this.#serve('fsyncdir', path, signal, () => this.ends.calls.fsyncdir(path));
  }

  _op_release(signal: Signal, path: string, fh: number): void {
    this.#serve('release', path, signal, () => this.ends.calls.release(fh));
  }

  _op_unlink(signal: Signal, path: string): void {
    this.#serve('unlink', path, signal, () => this.ends.calls.unlink(path));
  }

  _op_rename(signal: Signal, path: string, newPath: string): void {
    this.#serve('rename', path, signal, () => this.ends.calls.rename(path, newPath));
  }

  _op_link(signal: Signal, path: string, newPath: string): void {
    this.#serve('link', path, signal, () => this.ends.calls.link(path, newPath));
  }

  _op_symlink(signal: Signal, target: string, path: string): void {
    this.#serve('symlink', path, signal, () => this.ends.calls.symlink(target, path));
  }

  _op_mkdir(signal: Signal, path: string, mode: number): void {
    this.#serve('mkdir', path, signal, () => this.ends.calls.mkdir(path, mode));
  }

  _op_rmdir(signal: Signal, path: string): void {
    this.#serve('rmdir', path, signal, () => this.ends.calls.rmdir(path));
  }
}

/** A method that fuse-native calls for an operation. */
type Operation = (this: LibfuseSession, signal: Signal, ...rest: readonly unknown[]) => void;

/** Returns an argument of a call as text for the trace. */
function shown(argument: unknown): string {
  if (typeof argument === 'string') return quoted(Buffer.from(argument).toString('latin1'));
  return argument instanceof Uint8Array ? `<${argument.length} bytes>` : String(argument);
}

/**
 * Fills in the 18 words that fuse-native makes a struct stat of. Times are milliseconds since 1970;
 * earlier times become 0.
 */
function fill(stat: Uint32Array, attributes: Attributes): void {
  stat[0] = attributes.mode;
  stat[1] = attributes.uid;
  stat[2] = attributes.gid;
  stat[3] = attributes.size;
  stat[6] = attributes.nlink;
  stat[7] = attributes.ino;
  stat[9] = PREFERRED_IO_BYTES;
  stat[10] = Math.ceil(attributes.size / BLOCK_BYTES);
  [attributes.atime, attributes.mtime, attributes.ctime].forEach(({ sec, nsec }, index) => {
    const ms = Math.max(0, sec * 1000 + Math.floor(nsec / 1_000_000));
    stat[12 + 2 * index] = ms % TWO_32;
    stat[13 + 2 * index] = ms / TWO_32;
  });
}

/**
 * Writes the value of an attribute into the caller's buffer, or only returns its size if the buffer
 * has 0 bytes.
 * @param value bytes as characters
 * @returns the value's size in bytes
 * @throws FsError ERANGE if the value does not fit
 */
function sized(room: Buffer, value: string): number {
  if (room.length === 0) return value.length;
  if (room.length < value.length)
    throw new FsError(Errno.ERANGE, 'the caller has no room for the value');
  return room.write(value, 'latin1');
}
