/**
 * The packet PUBLISH with QoS 1 (MQTT 5, 3.3), in one piece of memory: mqtt-packet writes each of
 * its fields to the socket alone, which a lone event waits for.
 */
import type { OutgoingMessage } from '../messages.js';

const PUBLISH_QOS1 = 0x32;
const RETAIN = 0x01;
const USER_PROPERTY = 0x26;
/** The bytes of the type, of the longest length, and of the packet's number. */
const MOST_FIXED = 1 + 4 + 2;

/**
 * Makes the packet.
 *
 * @param messageId the packet's number
 */
export function publishPacket(message: OutgoingMessage, messageId: number): Buffer {
  const { topic, payload, retain = false, userProperties = {} } = message;
  const pairs = Object.entries(userProperties);
  let properties = 0;
  for (const [key, value] of pairs)
    properties += 1 + 4 + Buffer.byteLength(key) + Buffer.byteLength(value);
  const body = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length;
  const rest = 2 + Buffer.byteLength(topic) + 2 + lengthOfNumber(properties) + properties + body;
  const packet = Buffer.allocUnsafe(MOST_FIXED + rest);
  packet[0] = PUBLISH_QOS1 | (retain ? RETAIN : 0);
  let at = writeNumber(packet, 1, rest);
  at = writeText(packet, at, topic);
  at = packet.writeUInt16BE(messageId, at);
  at = writeNumber(packet, at, properties);
  for (const [key, value] of pairs) {
    packet[at++] = USER_PROPERTY;
    at = writeText(packet, writeText(packet, at, key), value);
  }
  if (typeof payload === 'string') packet.write(payload, at);
  else packet.set(payload, at);
  return packet.subarray(0, at + body);
}

/** Writes a text behind its length. @returns the offset behind it */
function writeText(packet: Buffer, at: number, text: string): number {
  const length = packet.write(text, at + 2);
  packet.writeUInt16BE(length, at);
  return at + 2 + length;
}

/** Returns how many bytes a variable byte integer has (MQTT 5, 1.5.5). */
function lengthOfNumber(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : 4;
}

/** Writes a variable byte integer. @returns the offset behind it */
function writeNumber(packet: Buffer, from: number, value: number): number {
  let at = from;
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) packet[at++] = (rest & 0x7f) | 0x80;
  packet[at++] = rest;
  return at;
}
