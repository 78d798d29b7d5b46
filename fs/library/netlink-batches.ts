/** The events of a netlink group, without a mount. */
import { type EventText, parseEvent } from '../client/events/text.js';
import { isSystemError } from '../shared/errors.js';
import { SILENT } from '../shared/log/logger.js';
import { NO_TRACE } from '../shared/log/trace.js';
import { KERNEL } from '../sources/kernel.js';
import { UDEV } from '../sources/udev.js';
import type { NetlinkGroup, UeventSink } from '../sources/source-types.js';
import { UeventSource } from '../sources/uevent-source.js';
import type { Filter as ParsedFilter } from '../uevent/filter/filter.js';
import { type UeventText, overflowText } from '../uevent/text.js';
import { refused } from './errors.js';
import type { EventBatches } from './subscription.js';

/** The name of a netlink group: the kernel's, or udevd's (after its rules). */
export type NetlinkName = 'kernel' | 'udev';

const GROUPS: Readonly<Record<NetlinkName, NetlinkGroup>> = { kernel: KERNEL, udev: UDEV };

/** The names of the netlink groups. */
export const NETLINK_NAMES = Object.keys(GROUPS) as readonly NetlinkName[];

/**
 * A netlink socket. While no reader waits, at most two batches are kept here, and the kernel keeps
 * the rest. If its queue overflows, the source counts the loss.
 */
export class NetlinkBatches implements EventBatches, UeventSink {
  #source: UeventSource | null = null;
  #texts: string[] = [];
  #deliver: (() => void) | null = null;
  #isReading = false;

  constructor(
    private readonly name: NetlinkName,
    private readonly filter: ParsedFilter,
  ) {}

  async open(): Promise<ParsedFilter | null> {
    await Promise.resolve(); // the caller gets a promise also for an error of the socket
    try {
      this.#source = new UeventSource(GROUPS[this.name], this, SILENT, NO_TRACE);
    } catch (error) {
      throw isSystemError(error) ? refused(error, `netlink group ${this.name}`) : error;
    }
    return this.filter.all ? null : this.filter;
  }

  take(): Promise<Iterable<EventText>> {
    return new Promise((resolve) => {
      this.#deliver = () => {
        this.#deliver = null;
        resolve(this.#texts.splice(0).map((text) => parseEvent(text, this.name)));
      };
      this.#isReading = true;
      this.#source?.start();
      if (this.#texts.length > 0) this.#deliver();
    });
  }

  async close(): Promise<void> {
    this.#source?.close();
    this.#source = null;
    return Promise.resolve();
  }

  beginAfter(): void {
    // A socket of netlink has no earlier events to skip.
  }

  publishKernel(text: UeventText): void {
    this.#add(text);
  }

  publishUdev(text: UeventText): void {
    this.#add(text);
  }

  publishLoss(count: number): void {
    this.#texts.push(overflowText(count).toString('latin1'));
  }

  settle(): void {
    if (this.#texts.length === 0) return;
    if (this.#deliver !== null) return this.#deliver();
    if (this.#isReading) this.#source?.pause();
    this.#isReading = false;
  }

  #add(text: UeventText): void {
    this.#texts.push(Buffer.from(text.bytes.subarray(0, text.length)).toString('latin1'));
  }
}
