/** The format of recordings: a reader finds each written event, wherever the file is cut. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import {
  RECORDING_HEADER,
  RecordingParser,
  recordText,
} from '../../../fs/client/events/recording.js';
import { parseEvent } from '../../../fs/client/events/text.js';
import { UsageError, UserError } from '../../../fs/shared/errors.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const recording = suite('a recording');

/** Parses the pieces of a file; returns the events' texts, and the line of an unfinished one. */
function read(...pieces: readonly string[]): { texts: string[]; unfinished: number } {
  const parser = new RecordingParser('file');
  const texts = pieces.flatMap((piece) =>
    [...parser.parse(Buffer.from(piece, 'latin1'))].map(({ event }) => event.text),
  );
  parser.end();
  return { texts, unfinished: parser.unfinished };
}

const bytes = (without: RegExp): fc.Arbitrary<string> =>
  fc
    .uint8Array({ maxLength: 8 })
    .map((array) => Buffer.from(array).toString('latin1').replace(without, ''));
const property = fc
  .tuple(fc.constantFrom('A', 'SEQNUM', '@', '# x', '\xff'), bytes(/[\n\0]/g))
  .map((pair) => pair.join('='));
const text = fc
  .tuple(bytes(/[\n\0]/g), fc.array(property, { maxLength: 4 }))
  .map(([devpath, properties]) => [`add@/${devpath}`, ...properties].join('\n'));

const write = (texts: readonly string[]): string[] =>
  texts.map((each, n) => recordText(parseEvent(each), { time: n, monotonic: n / 3 }, 'kernel'));

recording('has each event byte for byte, in whatever pieces it is read', () => {
  fc.assert(
    fc.property(fc.array(text, { maxLength: 6 }), fc.nat(), (texts, place) => {
      const file = RECORDING_HEADER + write(texts).join('');
      const at = place % (file.length + 1);
      assert.equal(read(file.slice(0, at), file.slice(at)), { texts, unfinished: 0 });
    }),
    runs(300),
  );
});

recording('that was cut has each event before the cut, and says that one is unfinished', () => {
  fc.assert(
    fc.property(fc.array(text, { minLength: 1, maxLength: 5 }), fc.nat(), (texts, place) => {
      const parts = write(texts);
      const all = parts.join('');
      const cut = place % (all.length + 1);
      let whole = 0;
      for (let end = 0; whole < parts.length && end + parts[whole].length <= cut; whole++)
        end += parts[whole].length;
      const length = parts.slice(0, whole).join('').length;
      const found = read(RECORDING_HEADER + all.slice(0, cut));
      assert.equal(found.texts, texts.slice(0, whole));
      assert.is(found.unfinished > 0, cut > length);
    }),
    runs(300),
  );
});

recording('has the times and the source of its events', () => {
  const parser = new RecordingParser('file');
  const file = `${RECORDING_HEADER}# a note\n\n@ 1.500 2.250000 udev and more\nadd@/x\nA=1\n\n`;
  const [{ time, source, line }] = parser.parse(Buffer.from(file));
  assert.equal([time, source, line], [{ time: 1.5, monotonic: 2.25 }, 'udev', 4]);
});

recording('is two recordings one behind the other, and has comments between events', () => {
  const one = `${RECORDING_HEADER}${write(['add@/a']).join('')}`;
  assert.equal(read(`${one}# note\n\n${one}`), { texts: ['add@/a', 'add@/a'], unfinished: 0 });
});

recording('with a damaged line is refused with the number of the line', () => {
  const first = write(['add@/a']).join('');
  for (const [damaged, line] of [
    ['@ x\nadd@/b\n\n', 5],
    ['@ 1 2 kernel\nno header\n\n', 6],
    ['@ 1 2 kernel\nadd@/b\nA=\0\n\n', 6],
    ['garbage\n', 5],
    [`@ 1 2 kernel\n${'x'.repeat(300_000)}`, 5],
  ] as const) {
    const seen: string[] = [];
    try {
      const parser = new RecordingParser('file');
      for (const { event } of parser.parse(Buffer.from(RECORDING_HEADER + first + damaged)))
        seen.push(event.text);
      assert.unreachable(damaged);
    } catch (error) {
      assert.instance(error, UserError);
      assert.match((error as Error).message, new RegExp(`^file: line ${line}: `));
    }
    assert.equal(seen, ['add@/a'], 'the event before the damage');
  }
});

recording('is refused if the file is something else, empty, or of a later version', () => {
  for (const [file, why] of [
    ['', 'is no recording'],
    ['root:x:0:0\n', 'is no recording'],
    ['@ 1 2 kernel\nadd@/b\n\n', 'is no recording'],
    ['x'.repeat(300_000), 'is no recording'],
    ['# eventfs recording 2\n', 'version 2'],
  ] as const) {
    try {
      read(file);
      assert.unreachable(why);
    } catch (error) {
      assert.instance(error, UsageError);
      assert.match((error as Error).message, why);
    }
  }
});

recording.run();
