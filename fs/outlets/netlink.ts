/**
 * Outlet to netlink groups: in the kernel's format as mdevd -O sends it (libudev-zero listens on
 * group 4), or in libudev's format as udevd does.
 *
 * Events of other hosts are never sent: a program would take their devices for those of this
 * machine. An event is of another host if it was published and has the property HOST.
 *
 * The outlet never waits. A receiver whose socket is full loses events, and its own socket reports
 * that (ENOBUFS).
 */
import { closeSync } from 'node:fs';
import { FailureWord, SliceWord, openUeventSender, sendToAll } from '#native';
import type { Bus } from '../bus/bus.js';
import type { Event } from '../bus/event.js';
import { libudevBytes, writeLibudev, writeLines } from './libudev-writer.js';
import { MAX_EVENT_BYTES } from '../uevent/text.js';
import { Errno, UserError, errnoName, isSystemError } from '../shared/errors.js';
import type { Logger } from '../shared/log/logger.js';
import type { StatusLines } from '../shared/status-lines.js';
import { MOST_MESSAGES, type Outlet } from './outlet.js';

/** The size of the buffer for the messages of one batch. */
const MEMORY_BYTES = 4 * MAX_EVENT_BYTES;

/** A format of messages. */
interface Format {
  /** The prefix of its keys in `.status`. */
  readonly key: 'REBROADCAST' | 'UDEV_OUT';
  /** Returns the most bytes that `write` writes for an event. */
  readonly bytes: (event: Event) => number;
  /** Writes an event's message to `to` from `start` on, and returns its length in bytes. */
  readonly write: (event: Event, to: Uint8Array, start: number) => number;
}

/** Sends each event to one or more netlink groups. */
export class NetlinkOutlet implements Outlet {
  readonly #sockets: Int32Array;
  readonly #memory = new Uint8Array(MEMORY_BYTES);
  readonly #slices = new Uint32Array(SliceWord.count * MOST_MESSAGES);
  readonly #failed: Int32Array;
  #messages = 0;
  #end = 0;
  #sent = 0;
  #refused = 0;
  #remote = 0;

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

  /**
   * Makes an outlet that sends the kernel's datagrams, byte for byte.
   *
   * @param mask the groups: bit 0 is group 1
   * @throws UserError if a socket cannot be opened: EPERM without CAP_NET_ADMIN
   */
  static rebroadcast(mask: number, logger: Logger): NetlinkOutlet {
    const format: Format = {
      key: 'REBROADCAST',
      bytes: (event) => event.length,
      write: (event, to, start) => writeLines(event, 0, to, start) - start,
    };
    return new NetlinkOutlet(groupsOf(mask), format, logger);
  }

  /**
   * Makes an outlet that sends libudev's messages to udev's group.
   *
   * @param bus supplies the SEQNUM for events that have none
   * @throws UserError if the socket cannot be opened: EPERM without CAP_NET_ADMIN
   */
  static udev(bus: Bus, logger: Logger): NetlinkOutlet {
    const format: Format = {
      key: 'UDEV_OUT',
      bytes: libudevBytes,
      // libudev treats a SEQNUM of 0 as missing.
      write: (event, to, start) => writeLibudev(event, Math.max(1, bus.lastSeqnum), to, start),
    };
    return new NetlinkOutlet([2], format, logger);
  }

  /** Adds the event's message to the batch. A full batch is sent first. */
  take(event: Event): void {
    if (event.sourceId >= 0 && event.property('HOST') !== undefined) {
      this.#remote++;
      return;
    }
    if (this.#messages === MOST_MESSAGES || this.#end + this.format.bytes(event) > MEMORY_BYTES)
      this.settle();
    const length = this.format.write(event, this.#memory, this.#end);
    const at = SliceWord.count * this.#messages;
    this.#slices[at + SliceWord.start] = this.#end;
    this.#slices[at + SliceWord.length] = length;
    this.#messages++;
    this.#end += length;
  }

  /**
   * Sends the batch.
   *
   * @returns false: no work is left for a later turn
   */
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

  /**
   * Sends the rest of the batch to one socket message by message, after the kernel has rejected
   * one.
   *
   * @param outcome how many messages the socket has received, or a negative errno
   */
  #finish(socket: number, outcome: number): void {
    const one = Int32Array.of(socket);
    const failed = new Int32Array(FailureWord.count);
    for (let i = Math.max(0, outcome); i < this.#messages; i++) {
      if (
        sendToAll(one, 1, this.#memory, this.#slices.subarray(SliceWord.count * i), 1, failed) === 0
      )
        continue;
      // before Linux 4.18: the group has no listener
      if (failed[FailureWord.outcome] === -Errno.ECONNREFUSED) continue;
      this.#sent--;
      this.#refused++;
      this.logger.warn(
        `${this.format.key.toLowerCase()}: the kernel rejected an event: ${errnoName(-failed[FailureWord.outcome])}`,
      );
    }
  }

  /** Returns the outlet's lines of `log/.status`. */
  statusLines(): StatusLines {
    const { key } = this.format;
    return [
      [`${key}_SENT`, this.#sent],
      [`${key}_REFUSED`, this.#refused],
      [`${key}_REMOTE`, this.#remote],
    ];
  }

  /** Closes the sockets. */
  close(): void {
    for (const fd of this.#sockets) closeSync(fd);
  }
}

/** Returns the numbers of a mask's groups: bit 0 is group 1. */
function groupsOf(mask: number): number[] {
  return Array.from({ length: 32 }, (_, bit) => bit + 1).filter(
    (group) => ((mask >>> (group - 1)) & 1) === 1,
  );
}
