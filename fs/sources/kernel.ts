/**
 * The kernel's uevents: NETLINK_KOBJECT_UEVENT, group 1 (lib/kobject_uevent.c).
 *
 * Only what the kernel itself sent to the group is taken. When the socket overflows (ENOBUFS) the events that are
 * missing are counted by the SEQNUMs before and after, and every queue is told.
 */
import { readFileSync } from 'node:fs';
import { UeventSocket } from '#native';
import type { Bus } from '../events/bus.js';
import { MalformedUevent, OversizedUevent, UeventText } from '../events/uevent.js';
import type { Complain } from '../fuse/session.js';
import type { StatusLines } from '../tree/text-file.js';

const KERNEL_GROUP = 1;
const KERNEL_GROUP_MASK = 1 << (KERNEL_GROUP - 1);
/** An event has at most 2 KiB of properties (UEVENT_BUFFER_SIZE) and a devpath; libudev's are at most 8 KiB. */
const SLOT_BYTES = 16 * 1024;
const SLOTS = 32;
const META_WORDS = 6;
/** Words of UeventSocketOptions.meta. */
const Meta = { length: 0, truncated: 1, senderPort: 2, groups: 3, uid: 4 } as const;
const RECEIVE_BUFFER_BYTES = 128 * 1024 * 1024;
/** How long after an overrun the next event may come before the kernel is asked how many there have been. */
const LOSS_TIMEOUT_MS = 100;

export class KernelSource {
  readonly #socket: UeventSocket;
  readonly #text = new UeventText();
  readonly #data = new Uint8Array(SLOTS * SLOT_BYTES);
  readonly #meta = new Uint32Array(SLOTS * META_WORDS);
  readonly #counted = { forged: 0, malformed: 0, overruns: 0, gaps: 0 };
  /** The SEQNUM of the last event that came, or that is known to be lost. */
  #last: number;
  #lossUntold = false;
  #lossTimer: NodeJS.Timeout | null = null;

  constructor(
    private readonly bus: Bus,
    private readonly complain: Complain,
  ) {
    this.#socket = new UeventSocket({
      group: KERNEL_GROUP,
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
      data: this.#data,
      slotBytes: SLOT_BYTES,
      meta: this.#meta,
      onBatch: (count, overrun, dry) => this.#receive(count, overrun, dry),
    });
    // After the socket is there, so that whatever comes after this number comes through the socket.
    this.#last = currentSeqnum();
    bus.lastSeqnum = this.#last;
  }

  start(): void {
    this.#socket.start();
  }

  close(): void {
    if (this.#lossTimer !== null) clearTimeout(this.#lossTimer);
    this.#socket.close();
  }

  statusLines(): StatusLines {
    const { forged, malformed, overruns, gaps } = this.#counted;
    return [
      ['KERNEL_BUFFER', this.#socket.receiveBufferBytes],
      ['KERNEL_OVERRUNS', overruns],
      ['KERNEL_GAPS', gaps],
      ['KERNEL_FORGED', forged],
      ['KERNEL_MALFORMED', malformed],
    ];
  }

  #receive(count: number, overrun: boolean, dry: boolean): void {
    for (let slot = 0; slot < count; slot++) this.#take(slot);
    if (overrun) {
      this.#counted.overruns++;
      this.#lossUntold = true;
      this.#lossTimer ??= setTimeout(() => this.#countLoss(), LOSS_TIMEOUT_MS);
    }
    // What comes in one go is told in one go.
    if (dry || count > 0) this.bus.settle();
  }

  #take(slot: number): void {
    const meta = this.#meta;
    const at = slot * META_WORDS;
    const length = meta[at + Meta.length];
    if (meta[at + Meta.senderPort] !== 0 || meta[at + Meta.groups] !== KERNEL_GROUP_MASK || meta[at + Meta.uid] !== 0) {
      this.#counted.forged++;
      return;
    }
    try {
      if (meta[at + Meta.truncated] !== 0) throw new OversizedUevent(`it has ${length} bytes`);
      this.#text.readDatagram(this.#data, slot * SLOT_BYTES, length);
    } catch (error) {
      if (!(error instanceof MalformedUevent || error instanceof OversizedUevent)) throw error;
      this.#counted.malformed++;
      this.complain(`dropped a uevent of the kernel's: ${error.message}`);
      return;
    }
    this.#noteSeqnum(this.#text.seqnum);
    this.bus.publishKernel(this.#text);
  }

  /** A gap alone is no loss: events of other network namespaces have numbers too. After an overrun it is. */
  #noteSeqnum(seqnum: number): void {
    if (!(seqnum > this.#last)) return; // two CPUs may send in the other order than they count
    const missing = seqnum - this.#last - 1;
    this.#last = seqnum;
    if (this.#lossUntold) this.#tellLoss(missing);
    else if (missing > 0) this.#counted.gaps++;
  }

  #tellLoss(count: number): void {
    this.#lossUntold = false;
    if (this.#lossTimer !== null) clearTimeout(this.#lossTimer);
    this.#lossTimer = null;
    if (count > 0) this.bus.publishLoss(count);
  }

  /** No event has come since the overrun: the kernel's own count says what the last ones were. */
  #countLoss(): void {
    this.#lossTimer = null;
    const seqnum = currentSeqnum();
    this.#socket.read(); // what came before that count is not lost
    if (!this.#lossUntold) return;
    const missing = seqnum - this.#last;
    this.#last = Math.max(this.#last, seqnum);
    this.#tellLoss(missing);
    this.bus.settle();
  }
}

/** The last SEQNUM that the kernel gave. */
function currentSeqnum(): number {
  try {
    return Number(readFileSync('/sys/kernel/uevent_seqnum', 'latin1'));
  } catch {
    return 0; // no sysfs in this container
  }
}
