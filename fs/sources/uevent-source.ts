/**
 * Reads uevents from a netlink group: the part that is the same for the kernel's group and udev's.
 * It drops and counts datagrams from a wrong sender, and datagrams that are not uevents.
 *
 * When the socket overflows (ENOBUFS), the source counts the missing events by their SEQNUMs
 * (seqnum-tracker.ts) and reports the loss to every queue: once with the first event after the
 * overrun, and a moment later the events that are found missing since. A gap alone is no loss,
 * because events of other network namespaces have numbers too. If such events fall into the time of
 * an overrun, they count as lost, because nothing tells them apart.
 */
import { DatagramWord, UeventSocket } from '#native';
import { MalformedUevent, OversizedUevent, type SeqNum, UeventText } from '../uevent/text.js';
import { kernelsRoot } from '../shared/kernel/kernels-root.js';
import { type Keeper, NO_KEEPER } from '../shared/kernel/keeper.js';
import type { Logger } from '../shared/log/logger.js';
import type { Trace } from '../shared/log/trace.js';
import type { StatusLines } from '../shared/status-lines.js';
import type { Journal } from '../state/journal.js';
import type { Recorded } from '../state/recorder.js';
import type { Fields } from '../state/schema.js';
import { type Mailbox, SLOTS, SLOT_BYTES, ownMailbox } from './mailbox.js';
import { SeqnumTracker, currentSeqnum } from './seqnum-tracker.js';
import type { NetlinkGroup, SourceState, UeventSink } from './source-types.js';

const MEBIBYTE = 1024 * 1024;
/** More than net.core.rmem_max: the kernel grants it to a process with CAP_NET_ADMIN. */
const RECEIVE_BUFFER_BYTES = 128 * MEBIBYTE;
/** The least of the receive buffer that one datagram takes. */
const LEAST_DATAGRAM_BYTES = 512;

/** A source of events: the socket of one netlink group. */
export class UeventSource implements Recorded {
  isMarked = false;
  readonly #socket: UeventSocket;
  readonly #text = new UeventText();
  readonly #mailbox: Mailbox;
  /** How many slots of the present batch are done; one more once its overrun is counted. */
  #done = 0;
  /** How many slots the last daemon has left; -1 once they are done. */
  #left = 0;
  readonly #meta = new Uint32Array(SLOTS * DatagramWord.count);
  readonly #counted = { forged: 0, malformed: 0, overruns: 0, late: 0 };
  readonly #groupMask: number;
  readonly #rootUid = kernelsRoot.uid;
  readonly #tracker: SeqnumTracker;
  /**
   * Whether the socket has overrun and no event has come since. The loss is reported with that
   * event.
   */
  #lossUntold = false;
  #lossTimer: NodeJS.Timeout | null = null;
  /**
   * The last SEQNUM when a count of losses began; null while none is under way. The events up to it
   * that still wait in the socket are not lost.
   */
  #countedTo: SeqNum | null = null;
  /** How many datagrams may wait from before the count began. */
  #unread = 0;

  /**
   * Opens the socket, or takes over that of the last daemon: the kernel has queued events since.
   *
   * @param keeper keeps the socket for the next daemon
   * @param state keeps all else for it; null for nothing
   * @throws SystemError if the socket cannot be opened
   */
  constructor(
    private readonly group: NetlinkGroup,
    private readonly bus: UeventSink,
    private readonly logger: Logger,
    private readonly trace: Trace,
    keeper: Keeper = NO_KEEPER,
    private readonly state: SourceState | null = null,
  ) {
    this.#mailbox = state?.mailbox ?? ownMailbox();
    const name = group.key.toLowerCase();
    const kept = keeper.take(name);
    this.#groupMask = 1 << (group.number - 1);
    this.#socket = new UeventSocket({
      group: group.number,
      ...(kept !== undefined && { fd: kept }),
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
      data: this.#mailbox.data,
      headers: this.#mailbox.headers,
      slotBytes: SLOT_BYTES,
      meta: this.#meta,
      onBatch: (count, overrun, dry) => this.#receive(count, overrun, dry),
    });
    if (kept === undefined) keeper.keep(name, this.#socket.fd);
    // The SEQNUM is read after the socket is open, so that every later event comes through the
    // socket.
    this.#tracker = new SeqnumTracker(currentSeqnum(), group.disorderMs);
    const last = state?.last;
    if (kept === undefined || last === undefined) bus.beginAfter(this.#tracker.last);
    else this.#goOn(last);
    state?.recorder.attach(this);
  }

  /** Continues at the place where the last daemon has ended. */
  #goOn(last: Fields<'source'>): void {
    const { overruns, late, forged, malformed } = last;
    Object.assign(this.#counted, { overruns, late, forged, malformed });
    this.#tracker.restore(last.last as SeqNum, last.gaps, last.skipped, performance.now());
    this.#lossUntold = last.lossUntold === 1;
    this.#left = this.#socket.recover();
    if (last.batch === this.#socket.batch) this.#done = last.done;
  }

  /** Writes the record of the source. */
  record(journal: Journal): void {
    const tracker = this.#tracker;
    journal.put('source', {
      group: this.group.number,
      last: tracker.last,
      gaps: tracker.gaps,
      ...this.#counted,
      lossUntold: this.#lossUntold ? 1 : 0,
      skipped: tracker.toText(),
      batch: this.#socket.batch,
      done: this.#done,
    });
  }

  /** Makes what the source has done count for a later daemon. */
  #commit(): void {
    this.state?.recorder.changed(this);
    this.state?.recorder.commit();
  }

  /** The limits of the source here, each with a remedy. */
  get limits(): readonly string[] {
    const bytes = this.#socket.receiveBufferBytes;
    if (bytes >= RECEIVE_BUFFER_BYTES) return [];
    const wanted = RECEIVE_BUFFER_BYTES / MEBIBYTE;
    return [
      `the socket for ${this.group.owner} events holds ${Math.floor(bytes / 1024)} KiB instead of ${wanted} MiB, so a storm of events may overrun it (as root: sysctl -w net.core.rmem_max=${RECEIVE_BUFFER_BYTES})`,
    ];
  }

  /** Publishes the events that wait in the socket, at most a few batches of them. */
  readWaiting(): void {
    this.#socket.readBatch();
  }

  /** Starts to read in the event loop. */
  start(): void {
    if (this.#left > this.#done) {
      this.#takeAll(this.#left);
      this.bus.settle();
    }
    if (this.#lossUntold) this.#countLossLater();
    this.#socket.start(this.#left >= 0 && this.#left < this.#done);
    this.#left = -1;
  }

  /** Takes the slots of the batch up to `count` that are not done. */
  #takeAll(count: number): void {
    while (this.#done < count) {
      this.#take(this.#done++);
      this.#commit();
    }
  }

  /** Stops to read until the next {@link start}. The kernel keeps the events, up to its bound. */
  pause(): void {
    this.#socket.stop();
  }

  /** Closes the socket, and drops the final count of a loss. */
  close(): void {
    if (this.#lossTimer !== null) clearTimeout(this.#lossTimer);
    this.#socket.close();
  }

  /** Returns the source's lines of `log/.status`. */
  statusLines(): StatusLines {
    const { forged, malformed, overruns, late } = this.#counted;
    const { key } = this.group;
    return [
      [`${key}_BUFFER`, this.#socket.receiveBufferBytes],
      [`${key}_OVERRUNS`, overruns],
      [`${key}_GAPS`, this.#tracker.gaps],
      [`${key}_LATE`, late],
      [`${key}_FORGED`, forged],
      [`${key}_MALFORMED`, malformed],
    ];
  }

  #receive(count: number, overrun: boolean, dry: boolean): void {
    this.#done = 0;
    this.#takeAll(count);
    if (overrun) {
      this.trace.events?.(`the socket for ${this.group.owner} events overflowed: events are lost`);
      this.#counted.overruns++;
      this.#lossUntold = true;
      this.#done++;
      this.#countLossLater();
      this.#commit();
    }
    this.#unread -= count;
    if (this.#countedTo !== null && (dry || this.#unread <= 0)) this.#endCount(this.#countedTo);
    // Readers are woken once for the whole batch.
    if (dry || count > 0) this.bus.settle();
  }

  #countLossLater(): void {
    if (this.#lossTimer !== null) clearTimeout(this.#lossTimer);
    this.#lossTimer = setTimeout(() => this.#countLoss(), this.group.lossTimeoutMs);
  }

  #take(slot: number): void {
    const at = slot * DatagramWord.count;
    const length = this.#meta[at + DatagramWord.length];
    if (!this.#isGenuine(at)) {
      this.#counted.forged++;
      this.trace.events?.(
        `dropped a datagram of ${length} bytes: it is not one of ${this.group.owner} uevents`,
      );
      return;
    }
    try {
      if (this.#meta[at + DatagramWord.truncated] !== 0)
        throw new OversizedUevent(`it has ${length} bytes`);
      this.group.read(this.#mailbox.data, slot * SLOT_BYTES, length, this.#text);
    } catch (error) {
      if (!(error instanceof MalformedUevent || error instanceof OversizedUevent)) throw error;
      this.#counted.malformed++;
      this.logger.warn(`dropped one of ${this.group.owner} uevents: ${error.message}`);
      return;
    }
    if (!this.#noteSeqnum(this.#text.seqnum)) return;
    this.group.publish(this.bus, this.#text);
  }

  /**
   * Returns whether root has sent the datagram to the group and to no other address. A sender to
   * the group needs CAP_NET_ADMIN in the user namespace that owns the network namespace. The kernel
   * has port 0, which no process gets, and root's uid: of the first user namespace, or for the
   * devices of a network namespace of the one that owns it (lib/kobject_uevent.c).
   */
  #isGenuine(at: number): boolean {
    const meta = this.#meta;
    if (this.group.kernelOnly && meta[at + DatagramWord.senderPort] !== 0) return false;
    if (meta[at + DatagramWord.groups] !== this.#groupMask) return false;
    const uid = meta[at + DatagramWord.uid];
    return uid === 0 || uid === this.#rootUid;
  }

  /**
   * Notes the event's SEQNUM.
   *
   * @returns false if the event is dropped, because it was reported as lost before
   */
  #noteSeqnum(seqnum: SeqNum): boolean {
    const { last } = this.#tracker;
    // The clock is read only if a number was skipped.
    const isNew = this.#tracker.come(seqnum, seqnum > last + 1 ? performance.now() : 0);
    if (isNew) {
      if (this.#lossUntold && seqnum > last) this.#tellLoss(this.group.leastLoss);
      return true;
    }
    this.#counted.late++;
    return this.group.disorderMs === 0;
  }

  #tellLoss(least: number): void {
    this.#lossUntold = false;
    const count = Math.max(this.#tracker.tell(performance.now()), least);
    if (count > 0) this.bus.publishLoss(count);
    this.#commit();
  }

  /**
   * Begins to count the last losses of an overrun, some time after it: the kernel's last SEQNUM
   * shows the events that no later event reveals. The count ends when the datagrams that wait now
   * have been read. They are read in the event loop as always: reading to the end of the queue here
   * would serve no request as long as a storm lasts.
   */
  #countLoss(): void {
    this.#lossTimer = null;
    this.#countedTo = currentSeqnum();
    this.#unread = this.#socket.receiveBufferBytes / LEAST_DATAGRAM_BYTES;
    if (this.#socket.readBatch() && this.#countedTo !== null) {
      this.#endCount(this.#countedTo);
      this.bus.settle();
    }
  }

  /** @param seqnum the kernel's last SEQNUM when the count began */
  #endCount(seqnum: SeqNum): void {
    this.#countedTo = null;
    if (!this.#lossUntold && this.group.disorderMs === 0) return;
    this.#tracker.skipTo(seqnum, performance.now());
    this.#tellLoss(this.#lossUntold ? this.group.leastLoss : 0);
  }
}
