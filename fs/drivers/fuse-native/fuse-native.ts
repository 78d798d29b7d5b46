/**
 * The driver that serves the tree by the npm package fuse-native, which is libfuse 2.
 *
 * A request; its reply takes the same way back:
 *
 *   kernel --> thread of libfuse --> fuse-native --drain the deaths--> path-calls --> tree
 *
 * An event, with one answer for each parked read, which releases the read's thread:
 *
 *   bus --take, settle--> tree --ReplyPort--> blocked-reads --> threads of libfuse --> kernel
 *
 * docs/drivers.md lists the limits of this driver.
 */
import { readSync } from 'node:fs';
import { ReadableWatch, catchInterrupts } from '#native';
import { permitsAllowOther } from '../../client/mounting/fusermount.js';
import { streamReadBytes } from '../../fuse/sizes.js';
import { FailedCallError, UserError } from '../../shared/errors.js';
import { type Connection, NO_CONNECTION, connectionAt } from '../../shared/kernel/connection.js';
import { readRequestTimeouts } from '../../shared/kernel/request-timeout.js';
import type { Logger } from '../../shared/log/logger.js';
import type { Driver, DriverHost } from '../driver.js';
import { MOUNT_REMEDY, mountLimits, refuseWithoutFusermount } from '../common/mount-fuse.js';
import { inTime } from '../../shared/in-time.js';
import { INIT_TIMEOUT_MS, clearMountPoint, detachOrTell, noInit } from '../common/mount-point.js';
import { ENDLESS, readLife, warnOfLife } from '../common/read-life.js';
import { type AskedRead, BlockedReads, LONG_READ_BYTES, MOST_PARKED } from './blocked-reads.js';
import { BufferSink } from './buffer-sink.js';
import { connections, isConnection, refuseWithoutFuse } from './device.js';
import type { SessionHost } from './libfuse-mount.js';
import { LibfuseSession } from './libfuse-session.js';
import { LockWatch } from './lock-waits.js';
import { OpenFiles } from './open-files.js';
import { INTERRUPT_SIGNAL, LONGEST_PATH_BYTES } from './package.js';
import { PathCalls } from './path-calls.js';

/** How often the driver looks for changes that fuse-native does not report. */
const LOOK_EVERY_MS = 200;
/** How long the driver waits for the last replies to reach their callers. */
const LINGER_MS = 2000;

/** A warning that the log gets at each mount. */
const LIMITS =
  'fuse-native: mkdir takes only <pid> and <pid>.<label>; process directories are private until chmod; no poll; no inotify events by the daemon; ' +
  `at most ${MOST_PARKED} blocked reads (docs/drivers.md lists all limits)`;

/** The driver `fuse-native`. */
export class FuseNative implements Driver, SessionHost {
  readonly calls: PathCalls;
  readonly files: OpenFiles;
  readonly logger: Logger;
  /** Whether libfuse mounts by fusermount, because this process may not call mount(2). */
  readonly #isOfUser = process.geteuid?.() !== 0;
  readonly isShared = !this.#isOfUser || permitsAllowOther() === true;
  readonly #sink = new BufferSink();
  readonly #reads: BlockedReads;
  /** How long reads may block, by the kernel's limit. */
  #readLife = ENDLESS;
  #ending = false;
  #session: LibfuseSession | null = null;
  /** The minor number of the mount's device, which finds the mount even after it was moved. */
  #connection: Connection = NO_CONNECTION;
  /** The descriptor of libfuse's /dev/fuse, which is open as long as libfuse serves. */
  #descriptor = -1;
  #looking: NodeJS.Timeout | null = null;
  #locks: LockWatch | null = null;
  #interrupts: ReadableWatch | null = null;
  #isSettling = false;

  constructor(private readonly host: DriverHost) {
    const { tree } = host;
    this.logger = host.logger;
    this.files = new OpenFiles(tree);
    this.calls = new PathCalls(tree, this.files);
    this.#reads = new BlockedReads(tree.ledger);
    tree.report(() => [
      ['PARKED', this.#reads.size],
      ['REQUEST_TIMEOUT', this.#readLife.limit],
      ['EXPIRED', this.#reads.expired],
    ]);
    // The next turn wakes readers: the publisher gets its reply first
    tree.attach(this.#reads, () => this.#settleSoon());
  }

  /**
   * Mounts the tree and serves requests in the event loop.
   * @param path the mount point, as /proc/self/mountinfo shows it
   * @param onEnd called if the connection ends without a call of `unmount`: another process has
   *   unmounted it
   * @returns a promise that resolves once the kernel has sent INIT
   * @throws UserError if the path is too long, if libfuse can't mount, or if the kernel sends no
   *   INIT within 5 s
   */
  async mount(path: string, onEnd: () => void): Promise<void> {
    if (Buffer.byteLength(path) > LONGEST_PATH_BYTES)
      throw new UserError(
        `${path}: Path too long for fuse-native (choose one of at most ${LONGEST_PATH_BYTES} bytes)`,
      );
    this.#readLife = readLife(readRequestTimeouts(), false);
    this.#reads.limitLife(this.#readLife.ms);
    await clearMountPoint(path, this.logger);
    refuseWithoutFuse();
    if (this.#isOfUser) refuseWithoutFusermount(path);
    this.#catchInterrupts();
    const session = new LibfuseSession(path, this);
    this.host.trace.watch(() => session.traceTo(this.host.trace.requests));
    const before = new Set(connections());
    this.#session = session;
    try {
      await inTime(session.begin(), INIT_TIMEOUT_MS, () => {
        throw noInit(path);
      });
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw new FailedCallError(`${path}: libfuse can't mount here (${MOUNT_REMEDY})`);
    }
    this.#connection = connectionAt(path);
    this.#descriptor = connections().find((fd) => !before.has(fd)) ?? -1;
    this.#locks = new LockWatch();
    this.#looking = setInterval(() => this.#look(onEnd), LOOK_EVERY_MS);
    this.logger.warn(LIMITS);
    warnOfLife(this.#readLife, this.logger);
  }

  get limits(): readonly string[] {
    return mountLimits({ isOfUser: this.#isOfUser, isShared: this.isShared });
  }

  /**
   * Ends every blocked read with end of file and unmounts. Releases libfuse once the last replies
   * are out, or after LINGER_MS. Does nothing if the tree is not mounted.
   */
  unmount(): void {
    const session = this.#session;
    if (session === null) return;
    this.#session = null;
    this.#ending = true;
    this.host.tree.end();
    detachOrTell(this.#connection, this.logger);
    if (this.#looking !== null) clearInterval(this.#looking);
    this.#interrupts?.close();
    // The event loop lives until the last replies are out: libfuse ends once all files are closed.
    const end = performance.now() + LINGER_MS;
    const lingering = setInterval(() => {
      if (isConnection(this.#descriptor) && performance.now() < end) return;
      clearInterval(lingering);
      session.letGo();
    }, 1);
  }

  #settleSoon(): void {
    if (this.#isSettling) return;
    this.#isSettling = true;
    setImmediate(() => {
      this.#isSettling = false;
      this.host.tree.bus.settleSome();
    });
  }

  // ---- SessionHost

  /** Drains the deaths, before the driver looks at a call. */
  drain(): void {
    this.host.noteRequest();
    this.host.tree.owners.drain();
  }

  /**
   * Serves a read(2), or parks it.
   * @returns how many bytes it has put into `asked.bytes`, or undefined if the read is parked
   * @throws FsError EAGAIN if too many reads are parked, in all or of the directory's user
   */
  read(asked: AskedRead): number | undefined {
    const { bytes } = asked;
    // A file of another kind is shorter than such a read.
    const sink = this.#sink.begin(bytes, streamReadBytes(bytes.length, LONG_READ_BYTES));
    const handle = this.files.read(asked.fh, asked.offset, sink);
    if (handle === undefined || this.#ending) return sink.length;
    this.#reads.park(handle, asked);
    return undefined;
  }

  // ---- changes that fuse-native does not report

  /** Checks whether libfuse still serves, and whether a parked read blocks another call. */
  #look(onEnd: () => void): void {
    if (!isConnection(this.#descriptor)) {
      if (this.#looking !== null) clearInterval(this.#looking);
      detachOrTell(this.#connection, this.logger); // an aborted connection is still mounted
      onEnd();
    } else if (this.#reads.size === 0) this.#locks?.clear();
    else if (this.#locks?.look() === true) this.#reads.endBlocking();
  }

  /**
   * Ends reads whose caller was interrupted: libfuse sends a signal to the thread that serves the
   * call, and repeats it every second.
   */
  #catchInterrupts(): void {
    const fd = catchInterrupts(INTERRUPT_SIGNAL);
    const bytes = new Uint8Array(1024);
    const addresses = new BigUint64Array(bytes.buffer);
    this.#interrupts = new ReadableWatch(fd, () => {
      const count = readSync(fd, bytes, 0, bytes.length, null) / BigUint64Array.BYTES_PER_ELEMENT;
      for (let i = 0; i < count; i++) this.#reads.interruptAt(Number(addresses[i]));
    });
  }
}
