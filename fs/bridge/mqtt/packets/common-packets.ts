/**
 * Parses the two packets that come all the time: a message with events, and the acknowledgement of
 * a message. mqtt-packet takes a hundred calls for each, through a list of pieces, tables and an
 * emitter, and a lone event finds none of that code in the CPU's caches. Every other packet, and
 * each one of another form, is left to mqtt-packet.
 */
import type { IPubackPacket, IPublishPacket } from 'mqtt-packet';

/** PUBLISH with QoS 1, neither retained nor sent again (MQTT 5, 3.3.1). */
const PUBLISH_QOS1 = 0x32;
const PUBACK = 0x40;
/** The length of a PUBACK without a reason, which tells of success (MQTT 5, 3.4.2.1). */
const PUBACK_LENGTH = 2;
const USER_PROPERTY = 0x26;
/** The characters of ASCII that are printed. */
const FIRST = 0x20;
const LAST = 0x7e;

/**
 * Parses a packet.
 *
 * @param packet one whole packet, whose length is checked
 * @returns null if mqtt-packet has to parse it
 */
export function parseCommon(packet: Buffer): IPublishPacket | IPubackPacket | null {
  if (packet[0] === PUBLISH_QOS1) return parseMessage(packet);
  return packet[0] === PUBACK ? parseAcknowledgement(packet) : null;
}

function parseAcknowledgement(packet: Buffer): IPubackPacket | null {
  if (packet.length !== 4 || packet[1] !== PUBACK_LENGTH) return null;
  const messageId = numberAt(packet, 2);
  return messageId === 0 ? null : { cmd: 'puback', messageId, reasonCode: 0 };
}

function parseMessage(packet: Buffer): IPublishPacket | null {
  let at = 1;
  while (packet[at] >= 0x80) at++;
  const topic = textAt(packet, ++at, packet.length);
  if (topic === null || topic === '') return null;
  at += 2 + topic.length;
  if (at + 3 > packet.length) return null;
  const messageId = numberAt(packet, at);
  // The properties of an event are short: the length has one digit.
  const end = at + 3 + packet[at + 2];
  if (messageId === 0 || packet[at + 2] >= 0x80 || end > packet.length) return null;
  const userProperties = propertiesOf(packet, at + 3, end);
  if (userProperties === null) return null;
  const properties = { userProperties };
  const payload = packet.subarray(end);
  return {
    cmd: 'publish',
    qos: 1,
    dup: false,
    retain: false,
    topic,
    messageId,
    properties,
    payload,
  };
}

/** Parses the properties of events. @returns null if they have others too, or lack one */
function propertiesOf(packet: Buffer, from: number, end: number): Record<string, string> | null {
  let session: string | null = null;
  let seq: string | null = null;
  let count: string | null = null;
  for (let at = from; at < end;) {
    const key = packet[at] === USER_PROPERTY ? textAt(packet, at + 1, end) : null;
    if (key === null) return null;
    const value = textAt(packet, at + 3 + key.length, end);
    if (value === null) return null;
    if (key === 'session' && session === null) session = value;
    else if (key === 'seq' && seq === null) seq = value;
    else if (key === 'count' && count === null) count = value;
    else return null;
    at += 5 + key.length + value.length;
  }
  return session === null || seq === null || count === null ? null : { session, seq, count };
}

function numberAt(packet: Buffer, at: number): number {
  return packet[at] * 0x100 + packet[at + 1];
}

/** Returns the text behind its length; null if it ends behind `end`, or is more than ASCII. */
function textAt(packet: Buffer, at: number, end: number): string | null {
  const from = at + 2;
  if (from > end) return null;
  const to = from + numberAt(packet, at);
  if (to > end) return null;
  for (let i = from; i < to; i++) if (packet[i] < FIRST || packet[i] > LAST) return null;
  return packet.toString('latin1', from, to);
}
