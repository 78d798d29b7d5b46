/**
 * The driver that serves the tree by the npm package fuse-native, which is libfuse 2.
 *
 * A request; its reply takes the same way back:
 *
 *   kernel --> thread of libfuse --> fuse-native --drain the deaths--> path-calls --> tree
 *
 * An event, with one answer for each parked read, whose thread then goes on:
 *
 *   bus --take, settle--> tree --ReplyPort--> answers --> threads of libfuse --> kernel
 *
 * docs/drivers.md lists the limits of this driver.
 */
import { closeSync, readSync, readdirSync, readlinkSync } from 'node:fs';
import { ReadableWatch, addressOf, catchInterrupts, openFuse } from '#native';
import { Errno, FsError, UserError, isSystemError } from '../../shared/errors.js';
import type { Sink } from '../../bus/sink.js';
import { type Connection, NO_CONNECTION, connectionAt } from '../../shared/kernel/connection.js';
import type { Logger } from '../../shared/logger.js';
import type { Trace } from '../../shared/trace.js';
import { type ReplyPort, interruptRead } from '../../tree/ports.js';
import { FOREVER, type Handle, type ParkedRead } from '../../tree/nodes/node.js';
import type { Tree } from '../../tree/tree.js';
import type { Driver } from '../driver.js';
import {
  type AskedRead,
  INTERRUPT_SIGNAL,
  LONGEST_PATH_BYTES,
  LibfuseSession,
  type SessionEnds,
} from './libfuse-session.js';
import { stackWaiters } from './lock-waits.js';
import { MOUNT_HINTS, OPEN_HINTS, clearMountPoint, detachOrTell } from '../common/mount-point.js';
import { PathCalls } from './path-calls.js';

/**
 * How many reads may be parked at once. Further reads get EAGAIN. libfuse ends a thread if more
 * than ten are idle, and fuse-native never frees the memory that it keeps for a thread. So fewer
 * reads than that may wake together.
 */
export const MOST_PARKED = 8;
/** The most bytes that one READ of the kernel asks for. */
const MOST_DATA = 128 * 1024;

/** How long the kernel may take to send INIT. */
const BEGIN_TIMEOUT_MS = 5000;
/** How often the driver looks for changes that fuse-native does not report. */
const LOOK_EVERY_MS = 200;
/** How long the driver waits for the last replies to reach their callers. */
const LINGER_MS = 2000;

/** A warning that the log gets at each mount. */
const LIMITS =
  'fuse-native: process directories go by PID only (mkdir <pid>[.label]) and are private until chmod; no poll, no inotify by the daemon; ' +
  `at most ${MOST_PARKED} blocked reads; docs/drivers.md has the rest`;

/** A parked read, and the call that it answers. */
interface Parked extends ParkedRead {
  readonly asked: AskedRead;
}

/** Copies the bytes of a read into a buffer. */
class BufferSink implements Sink {
  room = 0;
  length = 0;
  #to: Uint8Array = new Uint8Array(0);

  /**
   * Begins a read.
   * @param to the buffer
   * @param room the most bytes that the reader takes
   */
  begin(to: Uint8Array, room: number): this {
    this.#to = to;
    this.room = room;
    this.length = 0;
    return this;
  }

  put(bytes: Uint8Array, start: number, length: number): void {
    this.#to.set(bytes.subarray(start, start + length), this.length);
    this.length += length;
    this.room -= length;
  }
}

/** The driver `fuse-native`. */
export class FuseNative implements Driver, ReplyPort, SessionEnds {
  readonly calls: PathCalls;
  readonly #sink = new BufferSink();
  /** The bytes of one answer to several parked reads. */
  readonly #answer = new BufferSink();
  readonly #answerBytes = new Uint8Array(MOST_DATA);
  /** The parked reads, by slot. */
  readonly #parked = new Map<number, Parked>();
  #nextSlot = 0;
  #ending = false;
  #session: LibfuseSession | null = null;
  /** The minor number of the mount's device, which finds the mount even after it was moved. */
  #connection: Connection = NO_CONNECTION;
  /** The descriptor of libfuse's /dev/fuse, which is open as long as libfuse serves. */
  #descriptor = -1;
  #looking: NodeJS.Timeout | null = null;
  /** The threads that waited for a lock at the last look. */
  #waiters = new Set<number>();
  /** The thread of libfuse that waits for the end of the others. */
  #idle: ReadonlySet<number> = new Set();
  #interrupts: ReadableWatch | null = null;
  #isSettling = false;

  /** @param noteRequest called for each request before the driver serves it */
  constructor(
    private readonly tree: Tree,
    readonly logger: Logger,
    private readonly trace: Trace,
    private readonly noteRequest: () => void,
  ) {
    this.calls = new PathCalls(tree);
    tree.report(() => [['PARKED', this.#parked.size]]);
    // Not at once: a publisher gets its reply before readers are woken
    tree.attach(this, () => this.#settleSoon());
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
    await clearMountPoint(path, this.logger);
    refuseWithoutFuse();
    this.#catchInterrupts();
    const session = new LibfuseSession(path, this);
    this.trace.watch(() => session.traceTo(this.trace.requests));
    const before = new Set(connections());
    this.#session = session;
    try {
      await inTime(session.begin(), path);
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw new UserError(`${path}: libfuse could not mount (${MOUNT_HINTS.EPERM})`, true);
    }
    this.#connection = connectionAt(path);
    this.#descriptor = connections().find((fd) => !before.has(fd)) ?? -1;
    this.#idle = new Set(stackWaiters());
    this.#looking = setInterval(() => this.#look(onEnd), LOOK_EVERY_MS);
    this.logger.warn(LIMITS);
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
    this.tree.end();
    detachOrTell(this.#connection, this.logger);
    if (this.#looking !== null) clearInterval(this.#looking);
    this.#interrupts?.close();
    // The event loop lives until the last replies are out: libfuse ends once all files are closed.
    const end = Date.now() + LINGER_MS;
    const lingering = setInterval(() => {
      if (this.#isServed() && Date.now() < end) return;
      clearInterval(lingering);
      session.letGo();
    }, 1);
  }

  #settleSoon(): void {
    if (this.#isSettling) return;
    this.#isSettling = true;
    setImmediate(() => {
      this.#isSettling = false;
      this.tree.bus.settleSome();
    });
  }

  // ---- SessionEnds

  /** Drains the deaths, before the driver looks at a call. */
  drain(): void {
    this.noteRequest();
    this.tree.owners.drain();
  }

  /**
   * Serves a read(2), or parks it.
   * @returns how many bytes it has put into `asked.bytes`, or undefined if the read is parked
   * @throws FsError EAGAIN if too many reads are parked, in all or of the directory's user
   */
  read(asked: AskedRead): number | undefined {
    const { bytes } = asked;
    const sink = this.#sink.begin(bytes, bytes.length);
    const handle = this.calls.read(asked.fh, asked.offset, sink);
    if (handle === undefined || this.#ending) return sink.length;
    this.#park(handle, asked);
    return undefined;
  }

  #park(handle: Handle, asked: AskedRead): void {
    // fuse-native does not pass the reader on, so the read is charged to the open file's account.
    const { account } = handle;
    if (
      this.#parked.size >= MOST_PARKED ||
      (account !== null && !account.tryChargeItem('reads', 1))
    ) {
      this.tree.ledger.countRefusal('reads');
      throw new FsError(
        Errno.EAGAIN,
        `${MOST_PARKED} reads wait already, or too many of this user`,
      );
    }
    const slot = this.#nextSlot++;
    const read = { slot, handle, size: asked.bytes.length, asked };
    handle.park(read);
    this.#parked.set(slot, read);
  }

  // ---- ReplyPort

  /**
   * Begins an answer to parked reads.
   * @param size the most bytes that each of them takes
   */
  begin(size: number): Sink {
    return this.#answer.begin(this.#answerBytes, Math.min(size, MOST_DATA));
  }

  /** Answers each of `reads` with a copy of the bytes in the sink. */
  answer(reads: readonly ParkedRead[]): void {
    const { length } = this.#answer;
    const bytes = this.#answerBytes.subarray(0, length);
    for (const { slot } of reads) {
      const { asked } = this.#free(slot);
      asked.bytes.set(bytes);
      asked.done(length);
    }
  }

  /** Does nothing: each answer goes at once. */
  cork(): void {}
  /** Does nothing: each answer has gone already. */
  uncork(): void {}

  /**
   * Ends a parked read with an error.
   * @param errno positive, as in errno(3)
   */
  fail({ slot }: ParkedRead, errno: number): void {
    this.#free(slot).asked.done(-errno);
  }

  /** Takes a read out of the table, and refunds its charge. */
  #free(slot: number): Parked {
    const read = this.#parked.get(slot)!;
    this.#parked.delete(slot);
    read.handle.account?.refundItem('reads');
    return read;
  }

  /** Does nothing: fuse-native has no poll, though libfuse has. */
  wake(): void {}

  // ---- changes that fuse-native does not report

  /** Checks whether libfuse still serves, and whether a parked read blocks another call. */
  #look(onEnd: () => void): void {
    if (!this.#isServed()) {
      if (this.#looking !== null) clearInterval(this.#looking);
      detachOrTell(this.#connection, this.logger); // an aborted connection is still mounted
      onEnd();
    } else this.#endStuck();
  }

  /**
   * Returns whether libfuse still serves. It closes its descriptor, and reports nothing, once all
   * files are closed after an unmount or once the connection is aborted.
   */
  #isServed(): boolean {
    return this.#descriptor >= 0 && linkOf(this.#descriptor) === '/dev/fuse';
  }

  /**
   * Ends parked reads with EINTR if they block another call. A read holds libfuse's lock on its
   * path as long as it waits. A rmdir(2) of its directory waits for that lock and can't be killed,
   * and later calls wait too. libfuse does not report this to fuse-native. But if a thread waits
   * for a lock at two looks in a row, it is stuck. The driver then ends the reads in process
   * directories, which can be removed. Only if there are none, it ends all others.
   */
  #endStuck(): void {
    if (this.#parked.size === 0) return this.#waiters.clear();
    const waiters = stackWaiters().filter((thread) => !this.#idle.has(thread));
    const isStuck = waiters.some((thread) => this.#waiters.has(thread));
    this.#waiters = new Set(waiters);
    if (!isStuck) return;
    const reads = [...this.#parked.values()];
    const mortal = reads.filter(({ handle }) => handle.node.lifetime !== FOREVER);
    for (const read of mortal.length > 0 ? mortal : reads) interruptRead(this, read);
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
      for (let i = 0; i < count; i++) this.#interruptAt(Number(addresses[i]));
    });
  }

  /**
   * Ends the read of an interrupted thread.
   * @param address an address in the memory of the thread; 0 if this machine can't tell, which ends
   *   all parked reads
   */
  #interruptAt(address: number): void {
    for (const read of this.#parked.values()) {
      const { thread } = read.asked;
      const start = addressOf(thread);
      if (address === 0 || (address >= start && address < start + thread.length))
        interruptRead(this, read);
    }
  }
}

/**
 * Makes sure that /dev/fuse can be opened. Without it, libfuse prints the reason, but reports no
 * error that the driver could catch.
 * @throws UserError
 */
function refuseWithoutFuse(): void {
  try {
    closeSync(openFuse());
  } catch (error) {
    if (isSystemError(error)) throw UserError.from(error, '/dev/fuse', OPEN_HINTS);
    throw error;
  }
}

/** Returns the daemon's descriptors of /dev/fuse. */
function connections(): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => linkOf(fd) === '/dev/fuse');
}

/** Returns the target of /proc/self/fd/<fd>, or undefined if the descriptor is not open. */
function linkOf(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}

/**
 * Waits for `begun`.
 * @throws UserError after BEGIN_TIMEOUT_MS
 */
async function inTime(begun: Promise<void>, path: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, failed) => {
    timer = setTimeout(
      () => failed(new UserError(`${path}: the kernel did not begin to talk`)),
      BEGIN_TIMEOUT_MS,
    );
  });
  await Promise.race([begun, late]).finally(() => clearTimeout(timer));
}
