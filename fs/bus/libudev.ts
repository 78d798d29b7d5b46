/**
 * libudev's own format on netlink: what udevd sends to group 2 once its rules ran, and what libudev takes there.
 *
 *   message    = header properties
 *   header     = "libudev" NUL                           8 bytes
 *                magic 0xfeedcafe                        big-endian, as are the four words for filters
 *                header_size properties_off properties_len       in the machine's order
 *                subsystem_hash devtype_hash             MurmurHash2 of the values, 0 for none
 *                tag_bloom_hi tag_bloom_lo               four bits of 64 for each tag
 *   properties = *( KEY "=" VALUE NUL )                  ACTION and DEVPATH among them, in any order
 *
 * The words for filters are there for socket filters in the kernel: libudev attaches a BPF program that compares them, so
 * that who asked for one subsystem is not woken for others (sd-device/device-monitor.c, sd_device_monitor_filter_update).
 */
import { endianness } from 'node:os';
import type { Event } from './event.js';
import { MAX_EVENT_BYTES, MalformedUevent, type UeventText } from '../uevent/text.js';

const PREFIX = Buffer.from('libudev\0');
const MAGIC = 0xfeedcafe;
/** Where the words of the header are, in bytes. */
const Header = { magic: 8, size: 12, propertiesOff: 16, propertiesLen: 20, subsystem: 24, devtype: 28, bloomHigh: 32, bloomLow: 36 } as const;
export const LIBUDEV_HEADER_BYTES = 40;
const IS_LITTLE = endianness() === 'LE';

const NUL = 0;
const LF = 0x0a;
const AT = 0x40;
const SLASH = 0x2f;

/** How many bytes more than its text an event's message has at most, beside the bytes of its devpath. */
const ADDED_BYTES = LIBUDEV_HEADER_BYTES + 64;

// ---- reading

const ACTION = Buffer.from('ACTION=');
const DEVPATH = Buffer.from('DEVPATH=');

/** A message as the datagram that the kernel would have sent. One is enough for all: it is read at once. */
let datagram = new Uint8Array(2 * MAX_EVENT_BYTES);

/** Reads a message of udevd's; its header line is made of ACTION and DEVPATH. Throws {@link MalformedUevent} or OversizedUevent. */
export function readLibudev(data: Uint8Array, start: number, length: number, text: UeventText): void {
  const view = new DataView(data.buffer, data.byteOffset + start, length);
  const from = propertiesOffset(view, data, start);
  const block = view.getUint32(Header.propertiesLen, IS_LITTLE);
  if (block > length - from) throw new MalformedUevent(`its ${block} bytes of properties go past the end of ${length}`);
  if (block === 0 || data[start + from + block - 1] !== NUL) throw new MalformedUevent('its properties do not end with a NUL');
  readProperties(data, start + from, start + from + block, text);
}

function propertiesOffset(view: DataView, data: Uint8Array, start: number): number {
  if (view.byteLength < LIBUDEV_HEADER_BYTES) throw new MalformedUevent(`it has ${view.byteLength} bytes, fewer than a header of libudev's`);
  for (let i = 0; i < PREFIX.length; i++) if (data[start + i] !== PREFIX[i]) throw new MalformedUevent('it does not begin with libudev');
  const magic = view.getUint32(Header.magic);
  if (magic !== MAGIC) throw new MalformedUevent(`its magic is 0x${magic.toString(16)}, not 0xfeedcafe`);
  const size = view.getUint32(Header.size, IS_LITTLE);
  if (size < LIBUDEV_HEADER_BYTES) throw new MalformedUevent(`its header claims ${size} bytes`);
  const from = view.getUint32(Header.propertiesOff, IS_LITTLE);
  if (from < LIBUDEV_HEADER_BYTES || from > view.byteLength) throw new MalformedUevent(`its properties begin at ${from}, outside of it`);
  return from;
}

function readProperties(data: Uint8Array, start: number, end: number, text: UeventText): void {
  let action = -1;
  let devpath = -1;
  for (let at = start; at < end; at = data.indexOf(NUL, at) + 1) {
    if (beginsWith(data, at, ACTION)) action = at + ACTION.length;
    else if (beginsWith(data, at, DEVPATH)) devpath = at + DEVPATH.length;
  }
  if (action < 0) throw new MalformedUevent('it has no ACTION');
  if (devpath < 0 || data[devpath] !== SLASH) throw new MalformedUevent('it has no DEVPATH that begins with /');
  const actionEnd = data.indexOf(NUL, action);
  const devpathEnd = data.indexOf(NUL, devpath);
  if (data.subarray(action, actionEnd).includes(AT)) throw new MalformedUevent('its ACTION has an @ in it');
  const bytes = actionEnd - action + 1 + (devpathEnd - devpath) + 1 + (end - start);
  if (bytes > datagram.length) datagram = new Uint8Array(bytes);
  let to = put(data, action, actionEnd, 0);
  datagram[to++] = AT;
  to = put(data, devpath, devpathEnd, to);
  datagram[to++] = NUL;
  text.readDatagram(datagram, 0, put(data, start, end, to));
}

function put(data: Uint8Array, start: number, end: number, to: number): number {
  datagram.set(data.subarray(start, end), to);
  return to + end - start;
}

function beginsWith(data: Uint8Array, at: number, key: Uint8Array): boolean {
  for (let i = 0; i < key.length; i++) if (data[at + i] !== key[i]) return false;
  return true;
}

// ---- writing

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
    for (let rest = length - at - 1; rest >= 0; rest--) hash ^= text.charCodeAt(at + rest) << (8 * rest);
    hash = Math.imul(hash, MULTIPLIER);
  }
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER);
  return (hash ^ (hash >>> 15)) >>> 0;
}

function wordAt(text: string, at: number): number {
  const [a, b, c, d] = [text.charCodeAt(at), text.charCodeAt(at + 1), text.charCodeAt(at + 2), text.charCodeAt(at + 3)];
  return IS_LITTLE ? a | (b << 8) | (c << 16) | (d << 24) : d | (c << 8) | (b << 16) | (a << 24);
}
