/**
 * A netlink group that uevents come from. What is the same for the kernel's and for udev's is here: what was not sent by
 * whom it should be is dropped and counted, and so is what is no uevent.
 *
 * When the socket overflows (ENOBUFS) the events that are missing are counted by their SEQNUMs (seqnum-tracker.ts), and every queue is told:
 * once with the first event that comes after it, and a moment later what has turned out to be missing since. A gap alone is no
 * loss: events of other network namespaces have numbers too. Those that fall into the time of an overrun can't be told from lost ones, and are counted.
 */
import { readFileSync } from 'node:fs';
import { DatagramWord, UeventSocket } from '#native';
import type { Bus } from '../bus/bus.js';
import { MalformedUevent, OversizedUevent, type SeqNum, UeventText } from '../uevent/text.js';
import type { Logger } from '../shared/logger.js';
import type { Trace } from '../shared/trace.js';
import type { StatusLines } from '../shared/status-lines.js';
import { SeqnumTracker } from './seqnum-tracker.js';

/** An event has at most 2 KiB of properties (UEVENT_BUFFER_SIZE) and a devpath; libudev's are at most 8 KiB. */
const SLOT_BYTES = 16 * 1024;
const SLOTS = 32;
const RECEIVE_BUFFER_BYTES = 128 * 1024 * 1024;

/** What is different from one group to the other. */
export interface NetlinkGroup {
  /** As a number: 1 the kernel's, 2 udev's. */
  readonly number: number;
  /** What its lines in `.status` begin with. */
  readonly key: 'KERNEL' | 'UDEV';
  /** Whose its events are, for messages. */
  readonly owner: string;
  /** Whether only the kernel itself may send to it. */
  readonly kernelOnly: boolean;
  /** How long after an overrun the kernel is asked how many there have been. */
  readonly lossTimeoutMs: number;
  /** How long after a higher SEQNUM a lower one may come; 0 where no time can be given. */
  readonly disorderMs: number;
  /** The least that an overrun has lost, where SEQNUMs may say none. */
  readonly leastLoss: number;
  /** From a datagram to text. Throws MalformedUevent or OversizedUevent. */
  readonly read: (data: Uint8Array, start: number, length: number, text: UeventText) => void;
  readonly publish: (bus: Bus, text: UeventText) => void;
}

export class UeventSource {
  readonly #socket: UeventSocket;
  readonly #text = new UeventText();
  readonly #data = new Uint8Array(SLOTS * SLOT_BYTES);
  readonly #meta = new Uint32Array(SLOTS * DatagramWord.count);
  readonly #counted = { forged: 0, malformed: 0, overruns: 0, late: 0 };
  readonly #groupMask: number;
  readonly #tracker: SeqnumTracker;
  /** Whether no event has come since the overrun. */
  #lossUntold = false;
  #lossTimer: NodeJS.Timeout | null = null;

  constructor(
    private readonly group: NetlinkGroup,
    private readonly bus: Bus,
    private readonly logger: Logger,
    private readonly trace: Trace,
  ) {
    this.#groupMask = 1 << (group.number - 1);
    this.#socket = new UeventSocket({
      group: group.number,
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
      data: this.#data,
      slotBytes: SLOT_BYTES,
      meta: this.#meta,
      onBatch: (count, overrun, dry) => this.#receive(count, overrun, dry),
    });
    // After the socket is there, so that whatever comes after this number comes through the socket.
    this.#tracker = new SeqnumTracker(currentSeqnum(), group.disorderMs);
    bus.beginAfter(this.#tracker.last);
  }

  start(): void {
    this.#socket.start();
  }

  close(): void {
    if (this.#lossTimer !== null) clearTimeout(this.#lossTimer);
    this.#socket.close();
  }

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
    for (let slot = 0; slot < count; slot++) this.#take(slot);
    if (overrun) {
      this.trace.events?.(`the socket for ${this.group.owner} events was full: some are lost`);
      this.#counted.overruns++;
      this.#lossUntold = true;
      if (this.#lossTimer !== null) clearTimeout(this.#lossTimer);
      this.#lossTimer = setTimeout(() => this.#countLoss(), this.group.lossTimeoutMs);
    }
    // What comes in one go is told in one go.
    if (dry || count > 0) this.bus.settle();
  }

  #take(slot: number): void {
    const at = slot * DatagramWord.count;
    const length = this.#meta[at + DatagramWord.length];
    if (!this.#isGenuine(at)) {
      this.#counted.forged++;
      this.trace.events?.(`dropped ${length} bytes: they are not ${this.group.owner}`);
      return;
    }
    try {
      if (this.#meta[at + DatagramWord.truncated] !== 0)
        throw new OversizedUevent(`it has ${length} bytes`);
      this.group.read(this.#data, slot * SLOT_BYTES, length, this.#text);
    } catch (error) {
      if (!(error instanceof MalformedUevent || error instanceof OversizedUevent)) throw error;
      this.#counted.malformed++;
      this.logger.warn(`dropped a uevent of ${this.group.owner}: ${error.message}`);
      return;
    }
    if (!this.#noteSeqnum(this.#text.seqnum)) return;
    this.group.publish(this.bus, this.#text);
  }

  /** By root, to the group and to nobody else. Who sends to the group needs CAP_NET_ADMIN where the namespace was made. */
  #isGenuine(at: number): boolean {
    const meta = this.#meta;
    if (this.group.kernelOnly && meta[at + DatagramWord.senderPort] !== 0) return false;
    return meta[at + DatagramWord.groups] === this.#groupMask && meta[at + DatagramWord.uid] === 0;
  }

  /** False when the event was told as lost before it came. */
  #noteSeqnum(seqnum: SeqNum): boolean {
    const { last } = this.#tracker;
    // The clock is looked at when a number was skipped, and no oftener.
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
  }

  /** Some time after an overrun: the kernel's own count says what the last ones were. */
  #countLoss(): void {
    this.#lossTimer = null;
    const seqnum = currentSeqnum();
    this.#socket.read(); // what came before that count is not lost
    if (!this.#lossUntold && this.group.disorderMs === 0) return;
    this.#tracker.skipTo(seqnum, performance.now());
    this.#tellLoss(this.#lossUntold ? this.group.leastLoss : 0);
    this.bus.settle();
  }
}

/** The last SEQNUM that the kernel gave. */
function currentSeqnum(): SeqNum {
  try {
    return Number(readFileSync('/sys/kernel/uevent_seqnum', 'latin1')) as SeqNum;
  } catch {
    return 0 as SeqNum; // no sysfs in this container
  }
}
