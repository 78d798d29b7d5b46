/**
 * The memory into which the kernel writes datagrams. A guardian keeps it, so a daemon that is
 * killed between recvmmsg(2) and the bus loses none.
 */

/**
 * The space for one datagram in bytes. An event of the kernel has at most 2 KiB of properties
 * (UEVENT_BUFFER_SIZE) and a devpath; a message of libudev has at most 8 KiB.
 */
export const SLOT_BYTES = 16 * 1024;
export const SLOTS = 32;
/** More than the addon needs for the headers of all slots. */
const HEADER_BYTES = 8 * 1024;
const BOX_BYTES = HEADER_BYTES + SLOTS * SLOT_BYTES;
/** How many sources have a box: the kernel's group and udev's. */
const BOXES = 2;

/** The size of all boxes, in bytes. */
export const MAILBOX_BYTES = BOXES * BOX_BYTES;

/** The memory of one source. */
export interface Mailbox {
  readonly headers: Uint8Array;
  readonly data: Uint8Array;
}

/**
 * Returns the box of a source.
 * @param memory all boxes: MAILBOX_BYTES
 * @param index 0 or 1
 */
export function mailboxOf(memory: Uint8Array, index: number): Mailbox {
  const box = memory.subarray(index * BOX_BYTES, (index + 1) * BOX_BYTES);
  return { headers: box.subarray(0, HEADER_BYTES), data: box.subarray(HEADER_BYTES) };
}

/** Returns a box that ends with the process. */
export function ownMailbox(): Mailbox {
  return mailboxOf(new Uint8Array(BOX_BYTES), 0);
}
