/** The bytes of a broker as packets: in pieces of any size, and wrong ones. */
import fc from 'fast-check';
import * as mqtt from 'mqtt-packet';
import * as assert from 'uvu/assert';
import { MOST_PACKET, PacketReader } from '../../../fs/bridge/mqtt/packets/packet-reader.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const reading = suite('the packets of a broker');

const V5 = { protocolVersion: 5 } as const;

function message(payload: string, userProperties?: Record<string, string>): Buffer {
  const packet = { cmd: 'publish', topic: 't', qos: 1, messageId: 7, payload } as const;
  const properties = userProperties && { properties: { userProperties } };
  return mqtt.generate({ ...packet, dup: false, retain: false, ...properties }, V5);
}

const PACKETS = [
  ...[message('a'), message('b'.repeat(200), { session: 'x' }), message('c'.repeat(20_000))],
  ...['d000', '40020001', '90050001000001', '2003000000', 'e0028b00'].map((hex) =>
    Buffer.from(hex, 'hex'),
  ),
];

/** Reads pieces. @returns the packets as text, and why the reader has failed */
function read(pieces: readonly Buffer[]): { readonly got: string[]; readonly failed: string[] } {
  const [got, failed]: [string[], string[]] = [[], []];
  const reader = new PacketReader(
    mqtt,
    (packet) => got.push(JSON.stringify(packet)),
    (reason) => failed.push(reason),
  );
  for (const piece of pieces) reader.read(piece);
  return { got, failed };
}

/** Cuts bytes behind each of these lengths. */
function cut(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const length of lengths) pieces.push(bytes.subarray(at, (at += length)));
  return [...pieces, bytes.subarray(at)];
}

reading('are the same in pieces of any size', () => {
  const some = fc.array(fc.constantFrom(...PACKETS), { maxLength: 6 });
  const lengths = fc.array(fc.oneof(fc.nat(6), fc.nat(30_000)), { maxLength: 20 });
  fc.assert(
    fc.property(some, lengths, (packets, sizes) => {
      const whole = read(packets);
      assert.is(whole.got.length, packets.length, whole.failed.join());
      assert.equal(read(cut(Buffer.concat(packets), sizes)), whole);
    }),
    runs(200),
  );
});

reading('take no longer if each byte comes alone', () => {
  const pairs = Buffer.concat(
    Array.from({ length: 25_000 }, () => Buffer.from('2600000000', 'hex')),
  );
  const size = Buffer.from([...lengthBytes(pairs.length), ...pairs]);
  const body = Buffer.concat([Buffer.from('000161', 'hex'), size]);
  const packet = Buffer.concat([Buffer.from([0x30, ...lengthBytes(body.length)]), body]);
  assert.ok(packet.length < MOST_PACKET);
  const start = performance.now();
  const { got, failed } = read(Array.from(packet, (byte) => Buffer.from([byte])));
  assert.equal([got.length, failed], [1, []]);
  // mqtt-packet's own parser needs half a minute.
  assert.ok(performance.now() - start < 5000, `${performance.now() - start} ms`);
});

function lengthBytes(length: number): number[] {
  const digits: number[] = [];
  for (let rest = length; ; rest >>= 7) {
    digits.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) return digits;
  }
}

reading('of any bytes end with one reason, and nothing is read after it', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((some) => Buffer.from(some)),
    fc.tuple(fc.constantFrom(...PACKETS), fc.nat(), fc.nat(255)).map(([packet, at, byte]) => {
      const wrong = Buffer.from(packet);
      wrong[at % wrong.length] = byte;
      return wrong;
    }),
  );
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 5 }), (pieces) => {
      const { got, failed } = read(pieces);
      assert.ok(failed.length <= 1);
      if (failed.length === 1) assert.equal(read([...pieces, ...PACKETS]), { got, failed });
    }),
    runs(2000),
  );
});

reading('are refused once the length is known, before they come', () => {
  for (const hex of ['30ffffff7f', '30ffffffff01', '30818008'])
    assert.equal(read([Buffer.from(hex, 'hex')]).failed, ['a packet is too large'], hex);
});

reading('do not reach into the packet behind them', () => {
  // Its properties are said to be longer than the packet.
  const { got, failed } = read([
    Buffer.from('3008000161' + '0f' + '26000161', 'hex'),
    message('a'),
  ]);
  assert.equal(got, []);
  assert.match(failed.join(), /^malformed packet: /);
});

reading.run();
