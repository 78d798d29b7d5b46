/** The packets that a bridge makes, read by mqtt-packet. */
import fc from 'fast-check';
import { type IPublishPacket, parser } from 'mqtt-packet';
import * as assert from 'uvu/assert';
import { publishPacket } from '../../../fs/bridge/mqtt/packets/publish-packet.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const packets = suite('the packet of a message');

function parse(bytes: Buffer): IPublishPacket {
  const found: IPublishPacket[] = [];
  const reader = parser({ protocolVersion: 5 });
  reader.on('packet', (packet) => found.push(packet as IPublishPacket));
  assert.is(reader.parse(bytes), 0, 'nothing is left');
  assert.is(found.length, 1);
  return found[0];
}

packets('has the topic, the number, the properties and the payload', () => {
  const text = fc.stringMatching(/^[a-zé]{1,40}$/);
  const payloads = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom(0, 127, 128, 16_383, 16_384, 70_000).map((size) => Buffer.alloc(size, 'x')),
  );
  const pairs = fc.array(fc.tuple(text, text), { maxLength: 4 });
  fc.assert(
    fc.property(
      ...([text, payloads, fc.boolean(), fc.integer({ min: 1, max: 65_535 }), pairs] as const),
      (topic, payload, retain, messageId, properties) => {
        const userProperties = Object.fromEntries(properties);
        const got = parse(publishPacket({ topic, payload, retain, userProperties }, messageId));
        assert.equal(
          [got.topic, got.qos, got.dup, got.retain, got.messageId],
          [topic, 1, false, retain, messageId],
        );
        assert.ok(payload.equals(got.payload as Buffer));
        assert.equal({ ...got.properties?.userProperties }, userProperties);
      },
    ),
    runs(300),
  );
  const { payload } = parse(publishPacket({ topic: 'a', payload: '{"é":1}' }, 1));
  assert.is(payload.toString(), '{"é":1}');
});

packets.run();
