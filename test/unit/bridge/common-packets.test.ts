/** The packets that a bridge parses by itself: as mqtt-packet does, or not at all. */
import fc from 'fast-check';
import { type Packet, generate, parser } from 'mqtt-packet';
import * as assert from 'uvu/assert';
import { parseCommon } from '../../../fs/bridge/mqtt/packets/common-packets.js';
import { publishPacket } from '../../../fs/bridge/mqtt/packets/publish-packet.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const packets = suite('the common packets of a broker');

const V5 = { protocolVersion: 5 } as const;

/** Parses one whole packet. @returns null if it is malformed */
function byPackage(bytes: Buffer): Packet | null {
  let found: Packet | null = null;
  const reader = parser(V5);
  reader.on('packet', (packet) => (found ??= packet));
  let isBad = false;
  reader.on('error', () => (isBad = true));
  reader.parse(bytes);
  return isBad ? null : found;
}

/** Returns what a connection looks at. */
function seen(packet: Packet): unknown {
  if (packet.cmd === 'puback') return { ...named(packet), reasonCode: packet.reasonCode };
  if (packet.cmd !== 'publish') return packet;
  const { topic, payload, qos, dup, retain, properties } = packet;
  const { userProperties, ...others } = properties ?? {};
  const flags = { qos, dup, retain };
  const text = Buffer.from(payload).toString('latin1');
  return { ...named(packet), ...flags, topic, text, others, user: { ...userProperties } };
}

function named({ cmd, messageId }: Packet): object {
  return { cmd, messageId };
}

/** Whether the packet has the length that it says, as PacketReader has checked. */
function isWhole(bytes: Buffer): boolean {
  let [length, at] = [0, 1];
  for (; at < 5; at++) {
    length += (bytes[at] & 0x7f) * 0x80 ** (at - 1);
    if (bytes[at] < 0x80) break;
  }
  return at < 5 && bytes.length === at + 1 + length;
}

/** As mosquitto sends it. */
const ACKNOWLEDGEMENT = Buffer.from('40020009', 'hex');

const userProperties = { session: '17.abc', seq: '41', count: '1' };
const text = 'change@/x\nACTION=change\nDEVPATH=/x\n\n';
const event = publishPacket({ topic: 'eventfs/1/a/event', payload: text, userProperties }, 7);

packets('are the events of hosts, and acknowledgements', () => {
  for (const bytes of [event, ACKNOWLEDGEMENT]) {
    const found = parseCommon(bytes);
    assert.ok(found !== null, bytes.toString('hex'));
    assert.equal(seen(found), seen(byPackage(bytes)!));
  }
});

packets('of any size are those that mqtt-packet finds', () => {
  const word = fc.stringMatching(/^[ -~]{0,20}$/);
  const payloads = fc.oneof(fc.string({ maxLength: 300 }), fc.constant('x'.repeat(40_000)));
  const numbers = fc.integer({ min: 1, max: 65_535 });
  fc.assert(
    fc.property(
      word,
      word,
      word,
      word,
      payloads,
      numbers,
      (topic, session, seq, count, ...rest) => {
        const [payload, messageId] = rest;
        const message = { topic, payload, userProperties: { session, seq, count } };
        const bytes = publishPacket(message, messageId);
        const found = parseCommon(bytes);
        assert.is(found === null, topic === '');
        if (found !== null) assert.equal(seen(found), seen(byPackage(bytes)!));
      },
    ),
    runs(500),
  );
});

packets('with wrong bytes are left to mqtt-packet, or are the same', () => {
  const shapes = [
    event,
    ACKNOWLEDGEMENT,
    generate({ cmd: 'puback', messageId: 9 }, V5),
    publishPacket({ topic: 't', payload: 'a', userProperties: { ...userProperties, x: '' } }, 7),
    publishPacket({ topic: 't', payload: 'a', userProperties: { session: 'é', seq: '' } }, 7),
    publishPacket({ topic: 't', payload: 'a' }, 7),
  ];
  const change = fc.tuple(fc.nat(), fc.oneof(fc.nat(255), fc.constantFrom(0x26, 0x32, 0x40)));
  fc.assert(
    fc.property(
      fc.constantFrom(...shapes),
      fc.array(change, { minLength: 1, maxLength: 3 }),
      (shape, changes) => {
        const bytes = Buffer.from(shape);
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        if (!isWhole(bytes)) return;
        const found = parseCommon(bytes);
        if (found === null) return;
        const expected = byPackage(bytes);
        assert.ok(expected !== null, `mqtt-packet refuses ${bytes.toString('hex')}`);
        assert.equal(seen(found), seen(expected));
      },
    ),
    runs(20_000),
  );
});

packets.run();
