/**
 * Writes messages in the format of udevd's, for libudev's clients; uevent/libudev-format.ts
 * describes it.
 */
import type { Event } from '../bus/event.js';
import {
  Header,
  IS_LITTLE,
  LIBUDEV_HEADER_BYTES,
  MAGIC,
  PREFIX,
} from '../uevent/libudev-format.js';
import { LF, NUL } from '../shared/ascii.js';

/** The bytes that a message has at most beyond the event's text and its devpath. */
const ADDED_BYTES = LIBUDEV_HEADER_BYTES + 64;

/** Returns the most bytes that {@link writeLibudev} writes for an event. */
export function libudevBytes(event: Event): number {
  return ADDED_BYTES + 2 * event.length;
}

/**
 * Writes an event's message. libudev drops an event without ACTION, DEVPATH or SEQNUM
 * (device_verify), so properties that the publisher has not set follow the others: ACTION and
 * DEVPATH from the header line, SEQNUM from `seqnum`.
 *
 * @param seqnum the SEQNUM of an event that has none
 * @param start the offset in `to` where the message begins, in bytes
 * @returns the message's length in bytes
 */
export function writeLibudev(event: Event, seqnum: number, to: Uint8Array, start: number): number {
  const from = start + LIBUDEV_HEADER_BYTES;
  const firstProperty = event.text.indexOf('\n') + 1;
  let end = writeLines(event, firstProperty, to, from);
  end = addMissing(event, 'ACTION', event.action, to, end);
  end = addMissing(event, 'DEVPATH', event.devpath, to, end);
  end = addMissing(event, 'SEQNUM', String(seqnum), to, end);

  const view = new DataView(to.buffer, to.byteOffset + start, LIBUDEV_HEADER_BYTES);
  to.set(PREFIX, start);
  view.setUint32(Header.magic, MAGIC);
  view.setUint32(Header.size, LIBUDEV_HEADER_BYTES, IS_LITTLE);
  view.setUint32(Header.propertiesOff, LIBUDEV_HEADER_BYTES, IS_LITTLE);
  view.setUint32(Header.propertiesLen, end - from, IS_LITTLE);
  view.setUint32(Header.subsystem, hashOf(event.property('SUBSYSTEM')));
  view.setUint32(Header.devtype, hashOf(event.property('DEVTYPE')));
  const bloom = tagBloom(event.property('TAGS') ?? '');
  view.setUint32(Header.bloomHigh, bloom.high);
  view.setUint32(Header.bloomLow, bloom.low);
  return end - start;
}

function addMissing(event: Event, key: string, value: string, to: Uint8Array, end: number): number {
  if (event.property(key) !== undefined) return end;
  const line = Buffer.from(`${key}=${value}\0`, 'latin1');
  to.set(line, end);
  return end + line.length;
}

/**
 * Copies an event's lines, and replaces the LF behind each by a NUL, as the kernel ends them.
 *
 * @param skip how many bytes of the event's text to leave out at its beginning
 * @param start the offset in `to` where the copy begins, in bytes
 * @returns the offset in `to` behind the copy
 */
export function writeLines(event: Event, skip: number, to: Uint8Array, start: number): number {
  const { bytes, length } = event;
  const first = event.start + skip;
  const last = event.start + length;
  let at = start;
  for (let from = first; from < last; from++) {
    const byte = bytes[from];
    to[at++] = byte === LF ? NUL : byte;
  }
  return at;
}

function hashOf(value: string | undefined): number {
  return value === undefined ? 0 : murmurHash2(value);
}

/**
 * Returns the bloom filter of tags, 64 bits. Each tag sets four bits; a client that filters by a
 * tag checks its four bits.
 *
 * @param tags the value of TAGS, as in `:a:b:`
 * @returns the upper and the lower 32 bits
 */
export function tagBloom(tags: string): { high: number; low: number } {
  let high = 0;
  let low = 0;
  for (const tag of tags.split(':')) {
    if (tag === '') continue;
    const hash = murmurHash2(tag);
    for (let shift = 0; shift < 24; shift += 6) {
      const bit = (hash >>> shift) & 63;
      if (bit < 32) low |= 1 << bit;
      else high |= 1 << (bit - 32);
    }
  }
  return { high: high >>> 0, low: low >>> 0 };
}

const MULTIPLIER = 0x5bd1e995;

/**
 * Computes Austin Appleby's MurmurHash2 with seed 0, which reads words in the machine's byte order.
 *
 * @param text one character for each byte
 * @returns an unsigned 32-bit number
 */
export function murmurHash2(text: string): number {
  const { length } = text;
  let hash = length;
  let at = 0;
  for (; length - at >= 4; at += 4) {
    let word = Math.imul(wordAt(text, at), MULTIPLIER);
    word ^= word >>> 24;
    hash = Math.imul(hash, MULTIPLIER) ^ Math.imul(word, MULTIPLIER);
  }
  if (at < length) {
    for (let rest = length - at - 1; rest >= 0; rest--)
      hash ^= text.charCodeAt(at + rest) << (8 * rest);
    hash = Math.imul(hash, MULTIPLIER);
  }
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER);
  return (hash ^ (hash >>> 15)) >>> 0;
}

function wordAt(text: string, at: number): number {
  const [a, b, c, d] = [
    text.charCodeAt(at),
    text.charCodeAt(at + 1),
    text.charCodeAt(at + 2),
    text.charCodeAt(at + 3),
  ];
  return IS_LITTLE ? a | (b << 8) | (c << 16) | (d << 24) : d | (c << 8) | (b << 16) | (a << 24);
}
