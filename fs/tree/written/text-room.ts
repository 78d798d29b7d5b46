/** The room in the arena for the text of a written event. */
import { TRAILER_BYTES } from '../../bus/event.js';

/**
 * The spare room of a text is at most an eighth of its size and these bytes. An appended text needs
 * spare room, so that it is not moved at each write.
 */
const SPARE_BYTES = 64;

/** Returns the bytes to reserve for a text of `size` bytes that must be moved. */
export function roomFor(size: number): number {
  return size === 0 ? 0 : size + TRAILER_BYTES + (size >>> 4);
}

/**
 * Returns the most bytes that a text of `size` bytes may occupy; a text that occupies more is
 * moved.
 */
export function mostRoomFor(size: number): number {
  return size === 0 ? 0 : size + (size >>> 3) + SPARE_BYTES;
}
