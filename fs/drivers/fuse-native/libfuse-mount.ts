/**
 * One mount by libfuse: it begins and ends it, and wraps each call in the drain of deaths, the
 * errors and the trace.
 */
import type { Signal } from 'fuse-native';
import { Errno, FsError, NOT_FOUND, errnoName } from '../../shared/errors.js';
import type { Logger } from '../../shared/log/logger.js';
import type { TraceLine } from '../../shared/log/trace.js';
import type { AskedRead } from './blocked-reads.js';
import { CallTrace } from './call-trace.js';
import type { OpenFiles } from './open-files.js';
import { Fuse, OPERATIONS, addon, libfuseOptions } from './package.js';
import type { PathCalls } from './path-calls.js';

/** The driver, as far as a session needs it. */
export interface SessionHost {
  readonly calls: PathCalls;
  readonly files: OpenFiles;
  readonly logger: Logger;
  /** Whether other users can use the mount. */
  readonly isShared: boolean;
  /** Drains the deaths. The session calls it before it looks at a call. */
  drain(): void;
  /**
   * Serves a read, or parks it.
   * @returns the number of bytes, or undefined if the read is parked
   */
  read(read: AskedRead): number | undefined;
}

/** A method that fuse-native calls for an operation. */
type Operation = (this: LibfuseMount, signal: Signal, ...rest: readonly unknown[]) => void;

/** The class of fuse-native with a mount of its own. */
export class LibfuseMount extends Fuse {
  /** The memory of the libfuse thread whose read(2) or rmdir(2) is being served. */
  protected waiting: Uint8Array = new Uint8Array(0);
  /** Why the last failed call has failed, for the trace. */
  #why: string | undefined = undefined;

  /** @param path the mount point, at most LONGEST_PATH_BYTES */
  constructor(
    path: string,
    protected readonly host: SessionHost,
  ) {
    super(path, Object.fromEntries(OPERATIONS.map((name) => [name, true])), { timeout: false });
    for (const operation of [addon.op_read, addon.op_rmdir]) {
      const serve = this._handlers[operation];
      this._handlers[operation] = (thread, ...rest) => {
        this.waiting = thread;
        serve(thread, ...rest);
      };
    }
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
    return libfuseOptions(this.host.isShared);
  }

  /**
   * Switches the trace of calls on or off. fuse-native finds the methods by name, so a method of
   * the object takes the place of the class's.
   * @param line writes a line of the trace; null for no trace
   */
  traceTo(line: TraceLine | null): void {
    const trace = line === null ? null : new CallTrace(line, (first) => this.#reason(first));
    const own = this as unknown as Record<string, Operation | undefined>;
    for (const name of OPERATIONS) {
      const method = `_op_${name}`;
      delete own[method];
      const work = own[method]!;
      if (trace === null) continue;
      own[method] = (signal, ...rest) => trace.serve(name, work.bind(this), signal, rest);
    }
  }

  /**
   * Returns why the call that is being served has failed.
   * @param path the call's first argument
   */
  #reason(path: unknown): string | undefined {
    return this.#why === NOT_FOUND && typeof path === 'string'
      ? this.host.calls.paths.whyNotFound(path)
      : this.#why;
  }

  /**
   * Drains the deaths, does `work`, and answers with its result or with the errno that it throws.
   */
  protected serve(
    name: string,
    path: string,
    done: (result: number) => void,
    work: () => number | void,
  ): void {
    let result: number;
    try {
      this.host.drain();
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
      this.host.logger.error(`${name} of ${path}`, error);
      this.#why = `internal error: ${String(error)}`;
      return Errno.EIO;
    }
    this.#why = error.why;
    // With devfuse this mkdir(2) may succeed, so the log says why it fails here.
    if (name === 'mkdir' && error.errno === Errno.EPERM)
      this.host.logger.warn(`mkdir: ${errnoName(error.errno)}: ${error.why}`);
    return error.errno;
  }
}
