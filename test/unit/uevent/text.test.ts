import fc from 'fast-check';
import * as assert from 'uvu/assert';
import {
  MAX_EVENT_BYTES,
  MalformedUevent,
  OversizedUevent,
  UeventText,
  overflowText,
} from '../../../fs/uevent/text.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';
import { bytes, latin1, overflow } from '../bus/reading.js';

const uevent = suite('a uevent');

/** The kernel's datagram for `echo add > /sys/class/mem/null/uevent`, Linux 6.18. */
const NULL_ADDED =
  'add@/devices/virtual/mem/null\0ACTION=add\0DEVPATH=/devices/virtual/mem/null\0SUBSYSTEM=mem\0SYNTH_UUID=0\0' +
  'MAJOR=1\0MINOR=3\0DEVNAME=null\0DEVMODE=0666\0SEQNUM=1041\0';

const HEADER = 'add@/x';

type Read = (data: Uint8Array, start: number, length: number) => void;
type Form = 'datagram' | 'published';
const reader = { datagram: 'readDatagram', published: 'readPublished' } as const;

/**
 * Returns the text and the SEQNUM of these bytes, which have other bytes before and after them in
 * memory.
 */
function read(form: Form, data: string): { text: string; seqnum: number } {
  const whole = bytes(`@/stale=\n${data}/stale=\n\0`);
  const into = new UeventText();
  const call: Read = into[reader[form]].bind(into);
  call(whole, 9, data.length);
  return { text: latin1(into.bytes.subarray(0, into.length)), seqnum: into.seqnum };
}

function text(form: Form, data: string): string {
  return read(form, data).text;
}

/** Returns the error of these bytes. */
function refusal(form: Form, data: string): string {
  try {
    read(form, data);
  } catch (error) {
    if (error instanceof MalformedUevent) return `malformed: ${error.message}`;
    if (error instanceof OversizedUevent) return 'oversized';
    throw error;
  }
  return 'none';
}

const NO_HEADER = 'malformed: the first line is not ACTION@/DEVPATH';
const NO_PROPERTY = 'malformed: a line is not KEY=VALUE';

// ---- the kernel's form

uevent('of the kernel becomes its text, line by line', () => {
  assert.equal(read('datagram', NULL_ADDED), {
    text: NULL_ADDED.replaceAll('\0', '\n'),
    seqnum: 1041,
  });
});

uevent('needs no property', () => {
  const alone = read('datagram', 'remove@/devices/virtual/net/veth0\0');
  assert.is(alone.text, 'remove@/devices/virtual/net/veth0\n');
  assert.ok(Number.isNaN(alone.seqnum));
});

uevent('without bytes is refused', () => {
  assert.is(refusal('datagram', ''), 'malformed: the event is empty');
  assert.is(refusal('published', ''), 'malformed: the event is empty');
});

uevent('with a cut end is refused', () => {
  for (let length = 1; length < NULL_ADDED.length; length++) {
    const cut = NULL_ADDED.slice(0, length);
    if (!cut.endsWith('\0'))
      assert.is(refusal('datagram', cut), 'malformed: the datagram does not end with a NUL', cut);
  }
});

uevent('without ACTION@/DEVPATH at its beginning is refused', () => {
  for (const header of ['', 'add', 'add@', 'add@x', '@/x', '@', '/x', 'libudev', 'ACTION=add']) {
    assert.is(refusal('datagram', `${header}\0A=B\0`), NO_HEADER, header);
    assert.is(refusal('datagram', `${header}\0`), NO_HEADER, header);
    assert.is(refusal('published', `${header}\nA=B\n`), NO_HEADER, header);
  }
});

uevent('is judged by its own bytes, not by those behind them', () => {
  assert.is(refusal('published', 'add@'), NO_HEADER); // a `/` follows in memory
  assert.is(refusal('published', 'add@\nA=B\n'), NO_HEADER);
});

uevent('has its header end at the first @/', () => {
  assert.is(text('datagram', 'a@b@/c@/d\0'), 'a@b@/c@/d\n');
});

uevent('is refused with a property without a name, without = or without text', () => {
  for (const property of ['=', '=value', 'KEY', '']) {
    assert.is(refusal('datagram', `${HEADER}\0${property}\0`), NO_PROPERTY, property);
    assert.is(refusal('datagram', `${HEADER}\0A=B\0${property}\0C=D\0`), NO_PROPERTY, property);
    assert.is(refusal('published', `${HEADER}\n${property}\nC=D\n`), NO_PROPERTY, property);
  }
});

uevent('may have an empty value, and = in a value', () => {
  assert.is(text('datagram', `${HEADER}\0A=\0B==\0C=a=b\0`), `${HEADER}\nA=\nB==\nC=a=b\n`);
});

uevent('keeps bytes that are not UTF-8, and a carriage return', () => {
  const value = '\x80\xff\xfe\xc3(\xed\xa0\x80\r\x01\x7f';
  assert.is(text('datagram', `${HEADER}\0A=${value}\0`), `${HEADER}\nA=${value}\n`);
  assert.is(text('published', `${HEADER}\nA=${value}\n`), `${HEADER}\nA=${value}\n`);
});

uevent('has a line end inside a value as \\x0a', () => {
  assert.is(
    text('datagram', `${HEADER}\0A=one\ntwo\n\0B=\n\0`),
    `${HEADER}\nA=one\\x0atwo\\x0a\nB=\\x0a\n`,
  );
});

uevent('with a line end in its first line is refused', () => {
  for (const header of ['add@/x\ny', '\nadd@/x', 'add\n@/x', 'add@/x\n']) {
    assert.is(
      refusal('datagram', `${header}\0A=B\0`),
      'malformed: the first line contains a line end',
    );
  }
});

// ---- SEQNUM

uevent('has the SEQNUM of its property', () => {
  const seqnum = (value: string) => read('datagram', `${HEADER}\0SEQNUM=${value}\0`).seqnum;
  assert.is(seqnum('0'), 0);
  assert.is(seqnum('1'), 1);
  assert.is(seqnum('0012'), 12);
  assert.is(seqnum('9007199254740991'), Number.MAX_SAFE_INTEGER);
});

uevent('with an invalid SEQNUM is refused', () => {
  const wrong = (value: string) => refusal('datagram', `${HEADER}\0SEQNUM=${value}\0`);
  assert.is(wrong(''), 'malformed: the value of SEQNUM is empty');
  for (const value of ['x', '-1', '+1', '1 ', ' 1', '1.0', '0x1', '1e3', '1\n', '\xb2']) {
    assert.is(wrong(value), 'malformed: the value of SEQNUM is not a number', value);
  }
  for (const value of [
    '9007199254740992',
    '18446744073709551616',
    '9'.repeat(400),
    '1'.repeat(5000),
  ]) {
    assert.is(wrong(value), 'malformed: the value of SEQNUM is above 2^53 - 1', value);
  }
});

uevent('has no SEQNUM if a key is only similar', () => {
  for (const line of ['seqnum=1', 'XSEQNUM=1', 'SEQNUMX=1', 'SEQNU=1', 'SEQNUN=1', 'A=SEQNUM=1']) {
    assert.ok(Number.isNaN(read('datagram', `${HEADER}\0${line}\0`).seqnum), line);
  }
});

uevent('does not keep the SEQNUM of the previous one', () => {
  const into = new UeventText();
  const numbered = bytes(NULL_ADDED);
  into.readDatagram(numbered, 0, numbered.length);
  assert.is(into.seqnum, 1041);
  const plain = bytes(`${HEADER}\0`);
  into.readDatagram(plain, 0, plain.length);
  assert.ok(Number.isNaN(into.seqnum));
  assert.is(into.length, plain.length);
});

// ---- the published form

uevent('may be published as a text', () => {
  const own = 'change@/my/thing\nACTION=change\nSUBSYSTEM=mine\n';
  assert.is(text('published', own), own);
});

uevent('may be published without its last line end, or with empty lines behind it', () => {
  const own = 'change@/my/thing\nACTION=change\n';
  assert.is(text('published', own.slice(0, -1)), own);
  assert.is(text('published', `${own}\n`), own);
  assert.is(text('published', `${own}\n\n\n`), own);
  assert.is(text('published', 'change@/my/thing'), 'change@/my/thing\n');
});

uevent("may be published in the kernel's form", () => {
  assert.equal(read('published', NULL_ADDED), read('datagram', NULL_ADDED));
  assert.is(text('published', `${HEADER}\0A=1\n2\0`), `${HEADER}\nA=1\\x0a2\n`);
});

uevent('in neither form is refused', () => {
  assert.is(
    refusal('published', `${HEADER}\nA=B\0`),
    'malformed: the first line contains a line end',
  );
  assert.is(
    refusal('published', `${HEADER}\0A=B\n`),
    'malformed: the datagram does not end with a NUL',
  );
  assert.is(refusal('published', '\n'), 'malformed: the event is empty');
  assert.is(refusal('published', '\n\n\n'), 'malformed: the event is empty');
  assert.is(refusal('published', `\n${HEADER}\n`), NO_HEADER);
  assert.is(refusal('published', `${HEADER}\n\nA=B\n`), NO_PROPERTY);
});

uevent('of the daemon can be published by no other program', () => {
  const own = 'malformed: the devpath /eventfs belongs to the daemon';
  for (const action of ['overflow', 'error', 'x@y'])
    for (const end of ['\nLOST=3\n', '\0'])
      assert.is(refusal('published', `${action}@/eventfs${end}`), own);
  for (const devpath of ['/eventfs/x', '/eventf', '/Eventfs', '/x/eventfs', '//eventfs'])
    assert.is(text('published', `overflow@${devpath}`), `overflow@${devpath}\n`);
});

// ---- size

uevent('may have 64 KiB of text and no more', () => {
  const filled = (length: number, end: string) =>
    `${HEADER}${end}A=${'v'.repeat(length - HEADER.length - 4)}${end}`;
  for (const [form, end] of [
    ['datagram', '\0'],
    ['published', '\n'],
  ] as const) {
    const largest = filled(MAX_EVENT_BYTES, end);
    assert.is(largest.length, 64 * 1024);
    assert.is(text(form, largest), largest.replaceAll('\0', '\n'));
    assert.is(refusal(form, filled(MAX_EVENT_BYTES + 1, end)), 'oversized');
    assert.is(refusal(form, filled(MAX_EVENT_BYTES + 1000, end)), 'oversized');
    assert.is(
      refusal(form, `${HEADER}${end}${'K=v\0'.replaceAll('\0', end).repeat(MAX_EVENT_BYTES / 4)}`),
      'oversized',
    );
  }
  // Its last line end counts, whether the writer has sent it or not.
  assert.is(refusal('published', filled(MAX_EVENT_BYTES + 1, '\n').slice(0, -1)), 'oversized');
});

uevent('is measured by its text: an escaped line end has four bytes', () => {
  const fits = (MAX_EVENT_BYTES - HEADER.length - 4) / 4;
  const escaped = (count: number, more = '') => `${HEADER}\0A=${'\n'.repeat(count)}${more}\0`;
  const whole = Math.floor(fits);
  const left = MAX_EVENT_BYTES - text('datagram', escaped(whole)).length;
  assert.is(text('datagram', escaped(whole, 'v'.repeat(left))).length, MAX_EVENT_BYTES);
  for (let more = left + 1; more < left + 8; more++) {
    assert.is(refusal('datagram', escaped(whole, 'v'.repeat(more))), 'oversized');
    assert.is(
      refusal('datagram', `${escaped(whole - 1, 'v'.repeat(more)).slice(0, -1)}\n\0`),
      'oversized',
    );
  }
  assert.is(refusal('datagram', escaped(whole + 1)), 'oversized');
});

// ---- random bytes

/** Bytes that are likely to have a meaning. */
const soup = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map(latin1),
  fc.string({
    unit: fc.constantFrom(
      'a',
      '@',
      '/',
      '@/',
      '=',
      '\0',
      '\n',
      '\\',
      '\xff',
      '9',
      'K=v',
      'SEQNUM=',
      'add@/x\0',
      'add@/x\n',
    ),
    maxLength: 60,
    size: 'max',
  }),
);

uevent('of any bytes is a text or refused, whatever stands around it', () => {
  const property = fc.property(
    fc.constantFrom<Form>('datagram', 'published'),
    soup,
    soup,
    soup,
    (form, before, data, after) => {
      const whole = bytes(before + data + after);
      const into = new UeventText();
      let got: string | null = null;
      try {
        into[reader[form]](whole, before.length, data.length);
        got = latin1(into.bytes.subarray(0, into.length));
      } catch (error) {
        assert.ok(
          error instanceof MalformedUevent || error instanceof OversizedUevent,
          String(error),
        );
      }
      assert.is(latin1(whole), before + data + after);
      if (got === null) {
        assert.is.not(refusal(form, data), 'none');
        return;
      }
      assert.is(got, text(form, data));
      // The text parses to itself, and consists of a header and properties.
      assert.is(text('published', got), got);
      assert.is(text('datagram', got.replaceAll('\n', '\0')), got);
      assert.match(got, /^[^\0\n]+?@\/[^\0\n]*\n([^\0\n=]+=[^\0\n]*\n)*$/);
    },
  );
  fc.assert(property, runs(5000));
});

uevent('of any properties has them unchanged', () => {
  const value = fc
    .uint8Array({ maxLength: 30 })
    .map((raw) => latin1(raw).replaceAll(/[\0\n]/g, '.'));
  const key = value.map((raw) => raw.replaceAll('=', '.') + 'K');
  const header = fc
    .tuple(value, value)
    .map(([action, path]) => `${action.replaceAll('@', '.')}A@/${path}`);
  const property = fc.property(
    header,
    fc.array(fc.tuple(key, value), { maxLength: 12 }),
    (first, properties) => {
      const lines = [
        first,
        ...properties.filter(([name]) => name !== 'SEQNUM').map(([name, is]) => `${name}=${is}`),
      ];
      const own = lines.map((line) => `${line}\n`).join('');
      assert.is(text('published', own), own);
      assert.is(text('datagram', own.replaceAll('\n', '\0')), own);
    },
  );
  fc.assert(property, runs(2000));
});

uevent('of a random length near the limit never overruns its memory', () => {
  const into = new UeventText();
  const property = fc.property(
    fc.nat(12),
    fc.array(fc.constantFrom('\n', 'v', '\0A=', '\0'), { maxLength: 12 }),
    (less, end) => {
      const data = bytes(
        `${HEADER}\0A=${'v'.repeat(MAX_EVENT_BYTES - HEADER.length - 4 - less)}${end.join('')}\0`,
      );
      try {
        into.readDatagram(data, 0, data.length);
        assert.ok(into.length <= MAX_EVENT_BYTES);
        assert.is(into.bytes[into.length - 1], 0x0a);
      } catch (error) {
        assert.ok(
          error instanceof MalformedUevent || error instanceof OversizedUevent,
          String(error),
        );
      }
    },
  );
  fc.assert(property, runs(300));
});

uevent('that reports a loss has the form of others', () => {
  const told = latin1(overflowText(42));
  assert.is(`${told}\n`, overflow(42));
  const other = told.replace('@/eventfs', '@/other');
  assert.is(text('published', other), other);
});

uevent.run();
