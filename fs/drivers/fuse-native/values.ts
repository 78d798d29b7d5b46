/** Converts values between the tree and fuse-native. */
import { Errno, FsError } from '../../shared/errors.js';
import type { Attributes } from '../../tree/nodes/node.js';
import { VALUE_TOO_LONG } from '../common/calls.js';

/** The number of 32-bit words that fuse-native makes a struct stat of. */
export const STAT_WORDS = 18;
const TWO_32 = 2 ** 32;
const PREFERRED_IO_BYTES = 4096;
/** The unit of st_blocks (stat(2)). */
const BLOCK_BYTES = 512;
/** The character that fuse-native puts in place of bytes that are not UTF-8. */
const REPLACEMENT = '\ufffd';

/** Returns a 64-bit number, exact up to 2^53, from its halves. */
export function joined(low: number, high: number): number {
  return low + high * TWO_32;
}

/**
 * Fills in the words that fuse-native makes a struct stat of. Times are milliseconds since 1970;
 * earlier times become 0.
 */
export function fillStat(stat: Uint32Array, attributes: Attributes): void {
  stat[0] = attributes.mode;
  stat[1] = attributes.uid;
  stat[2] = attributes.gid;
  stat[3] = attributes.size;
  stat[6] = attributes.nlink;
  stat[7] = attributes.ino;
  stat[9] = PREFERRED_IO_BYTES;
  stat[10] = Math.ceil(attributes.size / BLOCK_BYTES);
  [attributes.atime, attributes.mtime, attributes.ctime].forEach(({ sec, nsec }, index) => {
    const ms = Math.max(0, sec * 1000 + Math.floor(nsec / 1_000_000));
    stat[12 + 2 * index] = ms % TWO_32;
    stat[13 + 2 * index] = ms / TWO_32;
  });
}

/**
 * Writes the value of an attribute into the caller's buffer, or only returns its size if the buffer
 * has 0 bytes.
 * @param value bytes as characters
 * @returns the value's size in bytes
 * @throws FsError ERANGE if the value does not fit
 */
export function sized(room: Buffer, value: string): number {
  if (room.length === 0) return value.length;
  if (room.length < value.length) throw new FsError(Errno.ERANGE, VALUE_TOO_LONG);
  return room.write(value, 'latin1');
}

/**
 * Converts a string of fuse-native to bytes as characters, the form that the tree uses.
 * @throws FsError EILSEQ if the bytes were not UTF-8
 */
export function toBytes(text: string): string {
  if (/^[\0-\x7f]*$/.test(text)) return text;
  if (text.includes(REPLACEMENT)) throw new FsError(Errno.EILSEQ, 'fuse-native passes only UTF-8');
  return Buffer.from(text).toString('latin1');
}

/**
 * Converts bytes as characters to a string for fuse-native.
 * @param bytes UTF-8; other bytes become U+FFFD
 */
export function toUtf8(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString();
}
