/**
 * The tree behind the npm package fuse-native, which is libfuse 2: the long way.
 *
 *   kernel --> a thread of libfuse's --> fuse-native --drain the deaths--> path-calls --> tree --> and all the way back
 *   bus --take, settle--> tree --ReplyPort--> each parked read is answered, and its thread goes on
 *
 * What it can't do stands in docs/drivers.md.
 */
import { closeSync, readSync, readdirSync, readlinkSync } from 'node:fs';
import { ReadableWatch, addressOf, catchInterrupts, openFuse } from '#native';
import { Errno, FsError, UserError, isSystemError } from '../../shared/errors.js';
import type { Sink } from '../../bus/sink.js';
import { mountedAt } from '../../shared/kernel/mountinfo.js';
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
 * How many reads may wait at once: what is beyond is told EAGAIN. libfuse ends a thread whenever more than ten have nothing
 * to do, and fuse-native never gives back what it keeps for one. So as many as wake together must stay below that.
 */
export const MOST_PARKED = 8;
/** The most that one read(2) of the kernel's asks for. */
const MOST_DATA = 128 * 1024;

const BEGIN_TIMEOUT_MS = 5000;
/** How often the driver looks for what it is not told. */
const LOOK_EVERY_MS = 200;
/** How long the last replies may take to reach those who wait for them. */
const LINGER_MS = 2000;

const LIMITS =
  'fuse-native: process directories go by PID only (mkdir <pid>[.label]) and are private until chmod; no poll, no inotify by the daemon; ' +
  `at most ${MOST_PARKED} blocked reads; docs/drivers.md has the rest`;

/** A read that waits, by slot. */
interface Parked extends ParkedRead {
  readonly asked: AskedRead;
}

/** Puts the bytes of a read where they belong. */
class BufferSink implements Sink {
  room = 0;
  length = 0;
  #to: Uint8Array = new Uint8Array(0);

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

export class FuseNative implements Driver, ReplyPort, SessionEnds {
  readonly calls: PathCalls;
  readonly #sink = new BufferSink();
  /** What all of some parked reads get. */
  readonly #answer = new BufferSink();
  readonly #answerBytes = new Uint8Array(MOST_DATA);
  readonly #parked = new Map<number, Parked>();
  #nextSlot = 0;
  #ending = false;
  #session: LibfuseSession | null = null;
  /** The mount's device, by which it is found again wherever it has been moved. */
  #connection = -1;
  /** libfuse's /dev/fuse: open as long as it serves. */
  #descriptor = -1;
  #looking: NodeJS.Timeout | null = null;
  /** The threads that waited for a lock when it was last looked. */
  #waiters = new Set<number>();
  /** The thread of libfuse's that waits for the others' end. */
  #idle: ReadonlySet<number> = new Set();
  #interrupts: ReadableWatch | null = null;
  #isSettling = false;

  constructor(
    private readonly tree: Tree,
    readonly logger: Logger,
    private readonly trace: Trace,
    private readonly noteRequest: () => void,
  ) {
    this.calls = new PathCalls(tree);
    tree.report(() => [['PARKED', this.#parked.size]]);
    // A publisher has its answer first
    tree.attach(this, () => this.#settleSoon());
  }

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
    this.#connection = mountedAt(path)?.minor ?? -1;
    this.#descriptor = connections().find((fd) => !before.has(fd)) ?? -1;
    this.#idle = new Set(stackWaiters());
    this.#looking = setInterval(() => this.#look(onEnd), LOOK_EVERY_MS);
    this.logger.warn(LIMITS);
  }

  unmount(): void {
    const session = this.#session;
    if (session === null) return;
    this.#session = null;
    this.#ending = true;
    this.tree.end();
    detachOrTell(this.#connection, this.logger);
    if (this.#looking !== null) clearInterval(this.#looking);
    this.#interrupts?.close();
    // The event loop lives until the last replies are out: libfuse ends once nobody has anything open.
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

  drain(): void {
    this.noteRequest();
    this.tree.owners.drain();
  }

  read(asked: AskedRead): number | undefined {
    const { bytes } = asked;
    const sink = this.#sink.begin(bytes, bytes.length);
    const handle = this.calls.read(asked.fh, asked.offset, sink);
    if (handle === undefined || this.#ending) return sink.length;
    this.#park(handle, asked);
    return undefined;
  }

  #park(handle: Handle, asked: AskedRead): void {
    // The reader is not told: the read is charged where the open file is.
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

  begin(size: number): Sink {
    return this.#answer.begin(this.#answerBytes, Math.min(size, MOST_DATA));
  }

  answer(reads: readonly ParkedRead[]): void {
    const { length } = this.#answer;
    const bytes = this.#answerBytes.subarray(0, length);
    for (const { slot } of reads) {
      const { asked } = this.#free(slot);
      asked.bytes.set(bytes);
      asked.done(length);
    }
  }

  /** Each answer goes at once. */
  cork(): void {}
  uncork(): void {}

  fail({ slot }: ParkedRead, errno: number): void {
    this.#free(slot).asked.done(-errno);
  }

  #free(slot: number): Parked {
    const read = this.#parked.get(slot)!;
    this.#parked.delete(slot);
    read.handle.account?.refundItem('reads');
    return read;
  }

  /** Nobody can: libfuse has poll, fuse-native has not. */
  wake(): void {}

  // ---- what fuse-native does not tell

  /** Looks whether libfuse still serves, and whether it holds a call back. */
  #look(onEnd: () => void): void {
    if (!this.#isServed()) {
      if (this.#looking !== null) clearInterval(this.#looking);
      detachOrTell(this.#connection, this.logger); // an aborted connection is still mounted
      onEnd();
    } else this.#endStuck();
  }

  /** Once all that it served is closed, or its connection was aborted, libfuse closes the descriptor and says nothing. */
  #isServed(): boolean {
    return this.#descriptor >= 0 && linkOf(this.#descriptor) === '/dev/fuse';
  }

  /**
   * A read holds libfuse's lock on its path for as long as it waits: rmdir(2) of its directory waits for that, unkillable, and so
   * does whoever comes after. fuse-native is not told; but a thread that is seen waiting for a lock twice running is stuck,
   * and the reads give way with EINTR: first those in process directories, which can be removed.
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

  /** libfuse sends a signal to the thread whose caller was interrupted, again every second: its read ends. */
  #catchInterrupts(): void {
    const fd = catchInterrupts(INTERRUPT_SIGNAL);
    const bytes = new Uint8Array(1024);
    const addresses = new BigUint64Array(bytes.buffer);
    this.#interrupts = new ReadableWatch(fd, () => {
      const count = readSync(fd, bytes, 0, bytes.length, null) / BigUint64Array.BYTES_PER_ELEMENT;
      for (let i = 0; i < count; i++) this.#interruptAt(Number(addresses[i]));
    });
  }

  /** @param address in the memory of the thread that was met; 0 when this machine can't tell, and then all may be meant. */
  #interruptAt(address: number): void {
    for (const read of this.#parked.values()) {
      const { thread } = read.asked;
      const start = addressOf(thread);
      if (address === 0 || (address >= start && address < start + thread.length))
        interruptRead(this, read);
    }
  }
}

/** libfuse prints what is missing, but nothing that could be caught. */
function refuseWithoutFuse(): void {
  try {
    closeSync(openFuse());
  } catch (error) {
    if (isSystemError(error)) throw UserError.from(error, '/dev/fuse', OPEN_HINTS);
    throw error;
  }
}

/** Our descriptors of /dev/fuse. */
function connections(): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => linkOf(fd) === '/dev/fuse');
}

function linkOf(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}

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
