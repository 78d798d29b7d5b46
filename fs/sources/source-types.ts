/** The parts that a source of uevents is made of. */
import type { Recorder } from '../state/recorder.js';
import type { Fields } from '../state/schema.js';
import type { SeqNum, UeventText } from '../uevent/text.js';
import type { Mailbox } from './mailbox.js';

/** The receiver of a source's events and losses: the bus, or a subscription of the library. */
export interface UeventSink {
  /** @param seqnum the last SEQNUM before the source's first event */
  beginAfter(seqnum: SeqNum): void;
  publishKernel(text: UeventText): void;
  publishUdev(text: UeventText): void;
  /** @param count how many events are lost */
  publishLoss(count: number): void;
  /** Called at the end of a batch. */
  settle(): void;
}

/** The differences between the kernel's netlink group and udevd's. */
export interface NetlinkGroup {
  /** The number of the group: 1 for the kernel's, 2 for udev's. */
  readonly number: number;
  /** The prefix of its keys in `.status`. */
  readonly key: 'KERNEL' | 'UDEV';
  /** The owner of its events for messages, as in `the kernel's`. */
  readonly owner: string;
  /** Whether the source accepts only datagrams of the kernel itself. */
  readonly kernelOnly: boolean;
  /**
   * The time from an overrun to the final count of its losses by the kernel's last SEQNUM, in ms.
   */
  readonly lossTimeoutMs: number;
  /**
   * The time after a higher SEQNUM in which a lower one may come, in ms; 0 if there is no limit.
   */
  readonly disorderMs: number;
  /** The smallest loss of an overrun, in case the SEQNUMs show none. */
  readonly leastLoss: number;
  /**
   * Reads the datagram at `start` in `data` into `text`. Throws MalformedUevent or OversizedUevent.
   */
  readonly read: (data: Uint8Array, start: number, length: number, text: UeventText) => void;
  /** Publishes an event of this group on the bus. */
  readonly publish: (bus: UeventSink, text: UeventText) => void;
}

/** The parts of a source that outlive the daemon. */
export interface SourceState {
  readonly recorder: Recorder;
  /** Memory that outlives the daemon. */
  readonly mailbox: Mailbox;
  /** The record of the last daemon's source, if there was one. */
  readonly last: Fields<'source'> | undefined;
}
