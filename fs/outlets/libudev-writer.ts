/** Writing messages that libudev takes for udevd's: see uevent/libudev-format.ts. */
import type { Event } from '../bus/event.js';
import {
  Header,
  IS_LITTLE,
  LIBUDEV_HEADER_BYTES,
  MAGIC,
  PREFIX,
} from '../uevent/libudev-format.js';
import { LF, NUL } from '../shared/ascii.js';

/** How many bytes more than its text an event's message has at most, beside the bytes of its devpath. */
const ADDED_BYTES = LIBUDEV_HEADER_BYTES + 64;

/** How many bytes `writeLibudev` needs at most. */
export function libudevBytes(event: Event): number {
  return ADDED_BYTES + 2 * event.length;
}

/**
 * Writes an event's message to `to`, from `start` on; gives its length. libudev drops what lacks ACTION, DEVPATH or SEQNUM
 * (device_verify), so those that a program did not give are put behind: from the header line, and `seqnum`.
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

/** Copies an event's lines from `skip` bytes on, ended by NULs as the kernel ends them; gives where they end. */
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

/** Of the tags in `:a:b:`. All four bits of each are set; who asks for a tag looks for its four. */
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

/** Austin Appleby's MurmurHash2 with seed 0, which reads words in the machine's order. `text` is bytes as characters. */
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
