/** Reads udevd's messages; uevent/libudev-format.ts describes the format. */
import {
  Header,
  IS_LITTLE,
  LIBUDEV_HEADER_BYTES,
  MAGIC,
  PREFIX,
} from '../uevent/libudev-format.js';
import { MAX_EVENT_BYTES, MalformedUevent, type UeventText } from '../uevent/text.js';
import { AT, NUL, SLASH } from '../shared/ascii.js';

const ACTION = Buffer.from('ACTION=');
const DEVPATH = Buffer.from('DEVPATH=');

/**
 * A message, converted into the kernel's datagram format. One buffer is enough: the text is read at
 * once.
 */
let datagram = new Uint8Array(2 * MAX_EVENT_BYTES);

/**
 * Reads a message of udevd into `text`. The header line is built from ACTION and DEVPATH.
 *
 * @param start the offset of the message in `data`, in bytes
 * @param length the message's length in bytes
 * @throws MalformedUevent if the message breaks the format
 * @throws OversizedUevent if the event is too large
 */
export function readLibudev(
  data: Uint8Array,
  start: number,
  length: number,
  text: UeventText,
): void {
  const view = new DataView(data.buffer, data.byteOffset + start, length);
  const from = propertiesOffset(view, data, start);
  const block = view.getUint32(Header.propertiesLen, IS_LITTLE);
  if (block > length - from)
    throw new MalformedUevent(`its properties (${block} bytes) go past the end of the message`);
  if (block === 0 || data[start + from + block - 1] !== NUL)
    throw new MalformedUevent('its properties do not end with a NUL');
  readProperties(data, start + from, start + from + block, text);
}

function propertiesOffset(view: DataView, data: Uint8Array, start: number): number {
  if (view.byteLength < LIBUDEV_HEADER_BYTES)
    throw new MalformedUevent(`it has ${view.byteLength} bytes, fewer than libudev's header`);
  for (let i = 0; i < PREFIX.length; i++)
    if (data[start + i] !== PREFIX[i]) throw new MalformedUevent('it does not begin with libudev');
  const magic = view.getUint32(Header.magic);
  if (magic !== MAGIC)
    throw new MalformedUevent(`its magic is 0x${magic.toString(16)}, not 0xfeedcafe`);
  const size = view.getUint32(Header.size, IS_LITTLE);
  if (size < LIBUDEV_HEADER_BYTES) throw new MalformedUevent(`its header states ${size} bytes`);
  const from = view.getUint32(Header.propertiesOff, IS_LITTLE);
  if (from < LIBUDEV_HEADER_BYTES || from > view.byteLength)
    throw new MalformedUevent(`its properties begin at ${from}, outside of the message`);
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
  if (devpath < 0 || data[devpath] !== SLASH)
    throw new MalformedUevent('it has no DEVPATH that begins with /');
  const actionEnd = data.indexOf(NUL, action);
  const devpathEnd = data.indexOf(NUL, devpath);
  if (data.subarray(action, actionEnd).includes(AT))
    throw new MalformedUevent('its ACTION contains an @');
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
