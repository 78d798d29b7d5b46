/**
 * libudev's format, byte by byte and with random bytes. test/mounted/sources/udev.test.ts compares
 * it with libudev itself.
 */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { Event, type LogIndex } from '../../../fs/bus/event.js';
import { LIBUDEV_HEADER_BYTES } from '../../../fs/uevent/libudev-format.js';
import { readLibudev } from '../../../fs/sources/libudev-reader.js';
import {
  libudevBytes,
  murmurHash2,
  tagBloom,
  writeLibudev,
} from '../../../fs/outlets/libudev-writer.js';
import { MalformedUevent, OversizedUevent, UeventText } from '../../../fs/uevent/text.js';
import { runs } from '../../support/runner/budget.js';
import { libudevMessage as message } from '../../support/clients/libudev.js';
import { suite } from '../../support/runner/suite.js';

const libudev = suite('a message of libudev');

/** Returns the text of a message that has other messages before and after it in memory. */
function read(data: Buffer): string {
  const whole = Buffer.concat([Buffer.from('ACTION=stale\0'), data, Buffer.from('/stale=\0')]);
  const text = new UeventText();
  readLibudev(whole, 13, data.length, text);
  return Buffer.from(text.bytes.subarray(0, text.length)).toString('latin1');
}

function refusal(data: Buffer): string {
  try {
    return `taken: ${read(data)}`;
  } catch (error) {
    if (error instanceof MalformedUevent) return error.message;
    if (error instanceof OversizedUevent) return 'oversized';
    throw error;
  }
}

function eventOf(text: string): Event {
  const bytes = Buffer.from(`before${text}\nafter`, 'latin1');
  return new Event('1', 1, 0 as LogIndex, bytes, 6, text.length, { sec: 0, nsec: 0 });
}

function write(text: string, seqnum = 7): Buffer {
  const event = eventOf(text);
  const to = new Uint8Array(libudevBytes(event) + 3);
  const length = writeLibudev(event, seqnum, to, 3);
  assert.ok(
    length <= libudevBytes(event),
    `${length} bytes, but libudevBytes() is ${libudevBytes(event)}`,
  );
  return Buffer.from(to.subarray(3, 3 + length));
}

libudev('becomes a text whose first line is made of its properties, which keep their order', () => {
  assert.is(
    read(message('SUBSYSTEM=mem\0DEVPATH=/x\0ACTION=add\0SEQNUM=9\0')),
    'add@/x\nSUBSYSTEM=mem\nDEVPATH=/x\nACTION=add\nSEQNUM=9\n',
  );
  assert.is(
    read(message('ACTION=add\0DEVPATH=/caf\xe9\0VALUE=\x01=\n\0')),
    'add@/caf\xe9\nACTION=add\nDEVPATH=/caf\xe9\nVALUE=\x01=\\x0a\n',
  );
});

libudev('may have a longer header, and bytes behind its properties', () => {
  assert.is(
    read(message('ACTION=add\0DEVPATH=/x\0', { size: 48, off: 48, extra: 8 })),
    'add@/x\nACTION=add\nDEVPATH=/x\n',
  );
  assert.is(
    read(Buffer.concat([message('ACTION=add\0DEVPATH=/x\0'), Buffer.from('rest')])),
    'add@/x\nACTION=add\nDEVPATH=/x\n',
  );
});

libudev('is refused if its header is wrong', () => {
  const good = 'ACTION=add\0DEVPATH=/x\0';
  assert.match(refusal(Buffer.alloc(0)), "fewer than libudev's header");
  assert.match(
    refusal(message(good).subarray(0, LIBUDEV_HEADER_BYTES - 1)),
    "fewer than libudev's header",
  );
  assert.match(refusal(message(good, { prefix: 'libudeb\0' })), 'does not begin with libudev');
  assert.match(refusal(message(good, { prefix: 'libudevx' })), 'does not begin with libudev');
  assert.match(refusal(message(good, { magic: 0xcafefeed })), 'magic is 0xcafefeed');
  assert.match(refusal(message(good, { size: 39 })), 'header states 39');
  assert.match(refusal(message(good, { off: 0 })), 'begin at 0');
  assert.match(refusal(message(good, { off: 39 })), 'begin at 39');
  assert.match(refusal(message(good, { off: 4000 })), 'begin at 4000');
  assert.match(refusal(message(good, { off: 0xffffffff })), 'begin at 4294967295');
});

libudev('is refused if its properties reach beyond its end, or add up to more than 32 bits', () => {
  const good = 'ACTION=add\0DEVPATH=/x\0';
  assert.match(refusal(message(good, { len: good.length + 1 })), 'past the end');
  assert.match(refusal(message(good, { len: 0xffffffff })), 'past the end');
  // their sum is 0 in 32 bits
  assert.match(refusal(message(good, { off: 50, len: 0xffffffce })), 'past the end');
  assert.match(refusal(message(good, { len: 0 })), 'do not end with a NUL');
  assert.match(refusal(message(good, { len: good.length - 1 })), 'do not end with a NUL');
});

libudev('is refused if its properties are invalid', () => {
  assert.match(refusal(message('ACTION=add\0')), 'no DEVPATH');
  assert.match(refusal(message('DEVPATH=/x\0')), 'no ACTION');
  assert.match(refusal(message('ACTION=add\0DEVPATH=x\0')), 'no DEVPATH');
  assert.match(refusal(message('ACTION=\0DEVPATH=/x\0')), 'not ACTION@/DEVPATH');
  assert.match(refusal(message('ACTION=a@/b\0DEVPATH=/x\0')), 'an @');
  assert.match(refusal(message('ACTION=add\0DEVPATH=/x\0NOVALUE\0')), 'not KEY=VALUE');
  assert.match(refusal(message('ACTION=add\0DEVPATH=/x\0=value\0')), 'not KEY=VALUE');
  assert.match(refusal(message('ACTION=add\0DEVPATH=/x\0\0')), 'not KEY=VALUE');
  assert.match(refusal(message('ACTION=add\0DEVPATH=/x\0SEQNUM=x\0')), 'SEQNUM is not a number');
  assert.match(refusal(message('ACTION=add\0DEVPATH=/x\n\0')), 'line end');
  assert.is(refusal(message(`ACTION=add\0DEVPATH=/x\0V=${'v'.repeat(65_536)}\0`)), 'oversized');
  assert.is(refusal(message(`ACTION=add\0DEVPATH=/${'d'.repeat(300_000)}\0`)), 'oversized');
});

libudev('is accepted or refused, whatever its bytes are, and has no other effect', () => {
  const word = fc.oneof(
    fc.nat(200),
    fc.integer({ min: 0, max: 0xffffffff }),
    fc.constant(LIBUDEV_HEADER_BYTES),
  );
  const block = fc.array(
    fc.constantFrom(
      'ACTION=add\0',
      'DEVPATH=/x\0',
      'SEQNUM=1\0',
      'X=\0',
      '\0',
      '=',
      'ACTION=',
      'a\n',
    ),
    { maxLength: 8 },
  );
  fc.assert(
    fc.property(block, word, word, word, fc.nat(60), (parts, size, off, len, cut) => {
      const properties = parts.join('');
      refusal(message(properties, { size, off, len }).subarray(0, -cut || undefined));
      refusal(
        message(properties, { off: LIBUDEV_HEADER_BYTES, len: Math.min(len, properties.length) }),
      );
    }),
    runs(3000),
  );
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      (data) => void refusal(Buffer.concat([message(''), data])),
    ),
    runs(1000),
  );
});

libudev('has the header that systemd writes, and properties that end with NULs', () => {
  const text =
    'add@/devices/x\nACTION=add\nDEVPATH=/devices/x\nSUBSYSTEM=net\nDEVTYPE=bridge\nTAGS=:a:b:\nSEQNUM=12\n';
  const written = write(text);
  const properties = text.slice(text.indexOf('\n') + 1).replaceAll('\n', '\0');
  const { high, low } = tagBloom(':a:b:');
  assert.equal(
    written,
    message(properties, {
      subsystem: murmurHash2('net'),
      devtype: murmurHash2('bridge'),
      high,
      low,
    }),
  );
});

libudev('has the properties that libudev requires, also if a program omits them', () => {
  assert.is(
    write('change@/my/thing\nSUBSYSTEM=mine\n', 41).subarray(40).toString(),
    'SUBSYSTEM=mine\0ACTION=change\0DEVPATH=/my/thing\0SEQNUM=41\0',
  );
  // nothing to filter by
  assert.equal(write('add@/x\nACTION=add\n').subarray(24, 40), Buffer.alloc(16));
});

libudev('that the writer makes is read back as the same event', () => {
  const key = fc
    .stringMatching(/^[A-Z_]{1,12}$/)
    .filter((name) => !['ACTION', 'DEVPATH', 'SEQNUM'].includes(name));
  const value = fc
    .array(
      fc.integer({ min: 1, max: 255 }).filter((byte) => byte !== 10),
      { maxLength: 40 },
    )
    .map((codes) => String.fromCharCode(...codes));
  const properties = fc.array(fc.tuple(key, value), { maxLength: 10 });
  fc.assert(
    fc.property(
      fc.stringMatching(/^[a-z]{1,9}$/),
      fc.stringMatching(/^\/[!-~]{0,30}$/),
      properties,
      (action, devpath, pairs) => {
        const text = `${action}@${devpath}\nACTION=${action}\nDEVPATH=${devpath}\nSEQNUM=3\n${pairs.map(([k, v]) => `${k}=${v}\n`).join('')}`;
        assert.is(read(write(text)), text);
      },
    ),
    runs(1000),
  );
});

libudev.run();

const bloom = suite('a bloom filter');

bloom('of some tags has the bits of each', () => {
  const tag = fc.stringMatching(/^[a-z_-]{1,12}$/);
  fc.assert(
    fc.property(fc.array(tag, { minLength: 1, maxLength: 6 }), (tags) => {
      const all = tagBloom(`:${tags.join(':')}:`);
      for (const one of tags) {
        const { high, low } = tagBloom(one);
        assert.ok((all.high & high) >>> 0 === high && (all.low & low) >>> 0 === low, one);
        assert.ok(high !== 0 || low !== 0);
      }
    }),
    runs(300),
  );
  assert.equal(tagBloom(''), { high: 0, low: 0 });
  assert.equal(tagBloom('::'), { high: 0, low: 0 });
});

bloom.run();
