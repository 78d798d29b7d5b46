/** The JSON of an event, from which a program can restore the event, whatever bytes it has. */
import * as assert from 'uvu/assert';
import fc from 'fast-check';
import { eventJson, jsonText, type JsonText } from '../../../fs/cli/terminal/event-json.js';
import { parseEvent } from '../../../fs/client/events/text.js';
import { anyCharacter } from '../../support/runner/any-character.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const json = suite('an event as JSON');

interface Parsed {
  readonly action: JsonText;
  readonly devpath: JsonText;
  readonly properties: Readonly<Record<string, JsonText>>;
  readonly more?: readonly (readonly [JsonText, JsonText])[];
}

/** Parses it as a program with a JSON parser does. */
function parsed(text: string): Parsed {
  const watched = {
    event: parseEvent(text),
    at: { time: 1.5, monotonic: 0.25 },
    source: 'publish',
    queue: 'match/A==caf\xc3\xa9',
    loss: 0,
  };
  return JSON.parse(Buffer.from(eventJson(watched), 'latin1').toString('utf8')) as Parsed;
}

/** Returns the bytes of a text, one a character. */
function bytesOf(text: JsonText): string {
  return Buffer.from(text as string).toString('latin1');
}

/** Any bytes but those in `without`, as characters: many are UTF-8, many are not. */
function bytes(without: RegExp): fc.Arbitrary<string> {
  const utf8 = fc
    .string({ unit: anyCharacter, maxLength: 6 })
    .map((text) => Buffer.from(text).toString('latin1'));
  const any = fc.uint8Array({ maxLength: 8 }).map((array) => Buffer.from(array).toString('latin1'));
  return fc
    .oneof(
      utf8,
      any,
      fc.constantFrom(
        '\xff',
        '\xef\xbf\xbd',
        '\xed\xa0\x80',
        '\xed\xb2\x80',
        '\xc0\x80',
        '255',
        '[255]',
        '__proto__',
      ),
    )
    .map((text) => text.replace(without, ''));
}

const value = bytes(/\n/g);
const key = fc.oneof(
  fc.constantFrom('MODALIAS', 'A', '__proto__', '0', '\xff', '\xfe'),
  bytes(/[\n=]/g).filter((text) => text !== ''),
);

json(
  'is reversible: it has all properties, and the last value of each key is in properties',
  () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(key, value), { maxLength: 8 }),
        value,
        (properties, devpath) => {
          const found = parsed(
            [`add@/${devpath}`, ...properties.map(([name, text]) => `${name}=${text}`)].join('\n'),
          );
          assert.equal([found.action, bytesOf(found.devpath)], ['add', `/${devpath}`]);
          const pairs = [...(found.more ?? []), ...Object.entries(found.properties)].map(
            ([name, text]) => [bytesOf(name), bytesOf(text)],
          );
          for (const name of new Set(properties.map(([each]) => each))) {
            const values = (of: readonly (readonly string[])[]): string[] =>
              of.filter(([each]) => each === name).map(([, text]) => text);
            assert.equal(values(pairs), values(properties), 'each value, in its order');
          }
          assert.is(pairs.length, properties.length);
        },
      ),
      runs(1000),
    );
  },
);

json('has two texts for two byte strings', () => {
  fc.assert(
    fc.property(value, value, (one, other) => {
      assert.is(JSON.stringify(jsonText(one)) === JSON.stringify(jsonText(other)), one === other);
    }),
    runs(1000),
  );
});

json('has strings for UTF-8 and arrays of bytes for the rest, and nothing else', () => {
  assert.equal(parsed('add@/caf\xe9\nA=caf\xc3\xa9\nB=\xff\xfe\nC=\n'), {
    schema: 1,
    time: 1.5,
    monotonic: 0.25,
    action: 'add',
    devpath: [...Buffer.from('/caf\xe9', 'latin1')],
    source: 'publish',
    queue: 'match/A==caf\u00e9',
    loss: 0,
    properties: { A: 'caf\u00e9', B: [255, 254], C: '' },
  });
  assert.equal(parsed('add@/x\nA=1\nB=2\nA=3\nA=4\n\xff=5\n').more, [
    ['A', '1'],
    ['A', '3'],
    [[255], '5'],
  ]);
});

json.run();
