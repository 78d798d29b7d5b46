/**
 * Uevents on netlink groups, for those who listen there: in the kernel's format as mdevd -O sends them (libudev-zero listens
 * on 4), or in libudev's as udevd does.
 *
 * Sending never waits: a receiver that is full loses, and is told so by its own socket (ENOBUFS).
 */
import { closeSync } from 'node:fs';
import { FailureWord, SliceWord, openUeventSender, sendToAll } from '#native';
import type { Bus } from '../bus/bus.js';
import type { Event } from '../bus/event.js';
import { libudevBytes, writeLibudev, writeLines } from './libudev-writer.js';
import { MAX_EVENT_BYTES } from '../uevent/text.js';
import { Errno, UserError, errnoName, isSystemError } from '../shared/errors.js';
import type { Logger } from '../shared/logger.js';
import type { StatusLines } from '../shared/status-lines.js';
import { MOST_MESSAGES, type Outlet } from './outlet.js';

const MEMORY_BYTES = 4 * MAX_EVENT_BYTES;

/** How an event is written for the wire. */
interface Format {
  /** What its lines in `.status` begin with. */
  readonly key: 'REBROADCAST' | 'UDEV_OUT';
  /** The most bytes that `write` takes. */
  readonly bytes: (event: Event) => number;
  /** Gives the message's length. */
  readonly write: (event: Event, to: Uint8Array, start: number) => number;
}

export class NetlinkOutlet implements Outlet {
  readonly #sockets: Int32Array;
  readonly #memory = new Uint8Array(MEMORY_BYTES);
  readonly #slices = new Uint32Array(SliceWord.count * MOST_MESSAGES);
  readonly #failed: Int32Array;
  #messages = 0;
  #end = 0;
  #sent = 0;
  #refused = 0;

  private constructor(
    groups: readonly number[],
    private readonly format: Format,
    private readonly logger: Logger,
  ) {
    const sockets: number[] = [];
    try {
      for (const group of groups) sockets.push(openUeventSender(group));
    } catch (error) {
      for (const fd of sockets) closeSync(fd);
      if (!isSystemError(error)) throw error;
      throw UserError.from(error, `netlink group ${groups[sockets.length]}`, {
        EPERM: 'sending there needs CAP_NET_ADMIN: try as root',
      });
    }
    this.#sockets = Int32Array.from(sockets);
    this.#failed = new Int32Array(2 * sockets.length);
  }

  /** The kernel's datagrams, byte for byte, to every group of `mask`. */
  static rebroadcast(mask: number, logger: Logger): NetlinkOutlet {
    const format: Format = {
      key: 'REBROADCAST',
      bytes: (event) => event.length,
      write: (event, to, start) => writeLines(event, 0, to, start) - start,
    };
    return new NetlinkOutlet(groupsOf(mask), format, logger);
  }

  /** libudev's messages, to udev's group. */
  static udev(bus: Bus, logger: Logger): NetlinkOutlet {
    const format: Format = {
      key: 'UDEV_OUT',
      bytes: libudevBytes,
      // libudev takes a SEQNUM of 0 for none.
      write: (event, to, start) => writeLibudev(event, Math.max(1, bus.lastSeqnum), to, start),
    };
    return new NetlinkOutlet([2], format, logger);
  }

  take(event: Event): void {
    if (this.#messages === MOST_MESSAGES || this.#end + this.format.bytes(event) > MEMORY_BYTES)
      this.settle();
    const length = this.format.write(event, this.#memory, this.#end);
    const at = SliceWord.count * this.#messages;
    this.#slices[at + SliceWord.start] = this.#end;
    this.#slices[at + SliceWord.length] = length;
    this.#messages++;
    this.#end += length;
  }

  settle(): boolean {
    if (this.#messages === 0) return false;
    const incomplete = sendToAll(
      this.#sockets,
      this.#sockets.length,
      this.#memory,
      this.#slices,
      this.#messages,
      this.#failed,
    );
    this.#sent += this.#messages * this.#sockets.length;
    for (let i = 0; i < incomplete; i++) {
      const at = FailureWord.count * i;
      this.#finish(
        this.#sockets[this.#failed[at + FailureWord.place]],
        this.#failed[at + FailureWord.outcome],
      );
    }
    this.#messages = this.#end = 0;
    return false;
  }

  /** The kernel has refused a message: the others go one by one. */
  #finish(socket: number, outcome: number): void {
    const one = Int32Array.of(socket);
    const failed = new Int32Array(FailureWord.count);
    for (let i = Math.max(0, outcome); i < this.#messages; i++) {
      if (
        sendToAll(one, 1, this.#memory, this.#slices.subarray(SliceWord.count * i), 1, failed) === 0
      )
        continue;
      if (failed[FailureWord.outcome] === -Errno.ECONNREFUSED) continue; // before Linux 4.18: nobody listens
      this.#sent--;
      this.#refused++;
      this.logger.warn(
        `${this.format.key.toLowerCase()}: netlink refused an event: ${errnoName(-failed[FailureWord.outcome])}`,
      );
    }
  }

  statusLines(): StatusLines {
    const { key } = this.format;
    return [
      [`${key}_SENT`, this.#sent],
      [`${key}_REFUSED`, this.#refused],
    ];
  }

  close(): void {
    for (const fd of this.#sockets) closeSync(fd);
  }
}

/** The numbers of a mask's groups: bit 0 is group 1. */
function groupsOf(mask: number): number[] {
  return Array.from({ length: 32 }, (_, bit) => bit + 1).filter(
    (group) => ((mask >>> (group - 1)) & 1) === 1,
  );
}
