/**
 * The tree on /dev/fuse: the short way.
 *
 *   kernel --read--> request --drain the deaths--> session --> handlers --> tree --> reply --write--> kernel
 *   bus --take, settle--> tree --Door--> one answer for all the parked reads that stand at the same place
 */
import { FuseChannel } from '#native';
import { Errno, FsError, Refusal, errnoName } from '../errno.js';
import { mountedAt } from '../fuse/mountinfo.js';
import { type Complain, REPLY_BYTES, REQUEST_BYTES, Session } from '../fuse/session.js';
import type { Sink } from '../events/sink.js';
import type { Door } from '../tree/door.js';
import type { Handle, ParkedRead } from '../tree/handle.js';
import type { Tree } from '../tree/tree.js';
import type { Driver } from './driver.js';
import { type Reads, TreeHandlers } from './handlers.js';
import { clearMountPoint, detach, isOurs, mountFuse } from './mount-point.js';
import { Notifier } from './notifier.js';
import { ParkedReads } from './parked-reads.js';
import { ReplySink } from './reply-sink.js';

/** How many reads may wait at once: what is beyond is told EAGAIN. */
const MOST_PARKED = 64 * 1024;
/** The most data of one reply. */
const MOST_DATA = REPLY_BYTES - 4096;

/** The word of `slice` that asks for `onSettle`. */
const SETTLE = 2;

/** How long a connection may take to negotiate: the kernel asks at once. */
const INIT_TIMEOUT_MS = 5000;

export class DevFuse implements Driver, Door, Reads {
  /** Set once the daemon is going: streams are at their end. */
  ending = false;
  readonly #session: Session;
  readonly #parked = new ParkedReads(MOST_PARKED);
  readonly #sink: ReplySink;
  /** What the channel is told besides a reply: see FuseChannelOptions.slice. */
  readonly #slice = new Uint32Array(3);
  readonly #slots = new Uint32Array(MOST_PARKED);
  readonly #requestWords: Uint32Array;
  #channel: FuseChannel | null = null;
  /** Whether answers are gathered. */
  #gathers = false;
  /** Raises inotify events, while the mount is there. */
  #notifier: Notifier | null = null;
  #path = '';
  /** The mount's device, to tell it from what others may have mounted there since. */
  #connection = -1;

  constructor(
    private readonly tree: Tree,
    private readonly complain: Complain,
    /** How many microseconds to look for the next request before sleeping. */
    private readonly busyPollUs: number,
  ) {
    const request = new Uint8Array(REQUEST_BYTES);
    this.#requestWords = new Uint32Array(request.buffer);
    const reply = new Uint8Array(REPLY_BYTES);
    this.#sink = new ReplySink(reply, tree.bus.log.memory, this.#slice);
    this.#session = new Session(request, reply, new TreeHandlers(tree, this), complain);
    tree.door = this;
    tree.bus.onUnsettled = () => (this.#slice[SETTLE] = 1);
  }

  /**
   * Mounts and serves in the event loop; resolves once the kernel has negotiated. Throws {@link Refusal}.
   * @param onEnd called when the connection is over though nobody said so: somebody has unmounted
   */
  async mount(path: string, onEnd: () => void): Promise<void> {
    await clearMountPoint(path, this.complain);
    const fd = mountFuse(path);
    this.#path = path;
    this.#connection = mountedAt(path)?.minor ?? -1;
    const session = this.#session;
    const negotiated = new Promise<void>((done, failed) => {
      const late = setTimeout(() => failed(new Refusal(`${path}: the kernel did not begin to talk`)), INIT_TIMEOUT_MS);
      session.onNegotiated = () => {
        clearTimeout(late);
        done();
      };
      this.#channel = new FuseChannel({
        fd,
        busyPollUs: this.busyPollUs,
        deaths: this.tree.owners.watch,
        request: session.request.bytes,
        reply: session.reply.bytes,
        log: this.tree.bus.log.memory,
        slice: this.#slice,
        parked: this.#parked.uniques,
        onRequest: (length) => session.dispatch(length),
        onSettle: () => this.tree.bus.settleSome(),
        onRefused: (errno) => this.complain(`${session.current}: the kernel refused the reply: ${errnoName(errno)}`),
        onEnd: () => {
          this.#channel = null;
          this.#detach(); // an aborted connection is still mounted
          this.#notifier?.stop();
          clearTimeout(late);
          failed(new Refusal(`${path}: the kernel ended the connection at once`));
          onEnd();
        },
      });
    });
    this.#channel!.start();
    await negotiated;
    if (this.#channel !== null) this.#notifier = new Notifier(this.tree.notices, this.complain, path, this.#connection);
  }

  /** Ends every blocked read with the end of the file, answers what has been asked by now, unmounts and lets go. */
  unmount(): void {
    const channel = this.#channel;
    if (channel === null) return;
    this.ending = true;
    this.tree.end();
    this.#detach();
    channel.serve();
    channel.close();
    this.#channel = null;
    this.#notifier?.stop();
  }

  #detach(): void {
    if (isOurs(this.#path, this.#connection)) detach(this.#path);
  }

  // ---- Reads

  sink(size: number): ReplySink {
    return this.#sink.begin(Math.min(size, MOST_DATA));
  }

  get holds(): boolean {
    return this.#slice[SETTLE] !== 0;
  }

  park(handle: Handle, size: number): ParkedRead {
    const read = this.#parked.park(this.#requestWords, handle, size);
    if (read === undefined) throw new FsError(Errno.EAGAIN, `${MOST_PARKED} reads wait already`);
    return read;
  }

  interrupt(uniqueLow: number, uniqueHigh: number): void {
    const read = this.#parked.find(uniqueLow, uniqueHigh);
    // One that is answered already is on its way: the signal comes too late for it.
    if (read === undefined) return;
    read.handle.unpark(read);
    this.fail(read, Errno.EINTR);
  }

  // ---- Door

  begin(size: number): Sink {
    return this.sink(size);
  }

  answer(reads: readonly ParkedRead[]): void {
    const slots = this.#slots;
    for (let i = 0; i < reads.length; i++) slots[i] = reads[i].slot;
    this.#sink.end();
    this.#channel?.answer(slots, reads.length, this.#sink.copied, this.#gathers);
    for (const read of reads) this.#parked.free(read);
  }

  gather(): void {
    this.#gathers = true;
  }

  flush(): void {
    this.#gathers = false;
    this.#channel?.flush();
  }

  fail(read: ParkedRead, errno: number): void {
    this.#channel?.fail(read.slot, errno);
    this.#parked.free(read);
  }

  wake(handle: Handle): void {
    this.#channel?.notify(this.#session.reply.pollWakeup(handle.pollKeyLow, handle.pollKeyHigh));
  }
}
