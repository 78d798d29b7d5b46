/** When a journal is compacted, and how far. */
import * as assert from 'uvu/assert';
import { Journal } from '../../../fs/state/journal.js';
import { StateLayout, heapMemory } from '../../../fs/state/layout.js';
import { Recorder } from '../../../fs/state/recorder.js';
import { Kind } from '../../../fs/state/schema.js';
import { StateTable } from '../../../fs/state/table.js';
import { suite } from '../../support/runner/suite.js';

const SIZES = { ring: 4096, mailbox: 4096, half: 16 * 1024 * 1024 };
const TEXT = new Uint8Array(64 * 1024);

const reopened = suite('a journal of a later daemon');

reopened('is due for a compaction once it is large, whichever daemon has filled it', () => {
  const memory = heapMemory(StateLayout.bytes(SIZES));
  const journal = Journal.create(memory, SIZES);
  assert.is(journal.isDueForCompaction, false);
  while (!journal.isDueForCompaction) {
    journal.begin(Kind.text).number(1).bytes(TEXT, 0, TEXT.length).end();
    journal.commit();
  }
  assert.is(new Journal(StateLayout.open(memory)).isDueForCompaction, true);
});

reopened.run();

const THINGS = 10_000;

const compaction = suite('a compaction');

compaction('ends while requests leave it no turn', () => {
  const journal = Journal.create(heapMemory(StateLayout.bytes(SIZES)), SIZES);
  const recorder = new Recorder(journal);
  const thing = {
    isMarked: false,
    record: (to: Journal): void => to.begin(Kind.text).number(1).bytes(TEXT, 0, 40).end(),
  };
  recorder.living = () => Array<typeof thing>(THINGS).fill(thing);
  recorder.compact();
  let requests = 0;
  for (; journal.isCompacting && requests < THINGS; requests++) {
    recorder.reply(requests, 0, TEXT, 0, 40, 0, 0);
    recorder.commit();
    recorder.sent();
  }
  assert.ok(requests < THINGS / 10, `${requests} requests`);
});

/** A tree of many texts, of which each is recorded anew again and again. */
function rewrite(recorder: Recorder, texts: number, times: number): void {
  const things = Array.from({ length: texts }, (_, ino) => ({
    isMarked: false,
    record: (to: Journal): void =>
      to.begin(Kind.text).number(ino).bytes(TEXT, 0, TEXT.length).end(),
  }));
  recorder.living = () => things;
  for (let n = 0; n < times; n++) {
    recorder.changed(things[n % texts]);
    recorder.reply(n, 0, TEXT, 0, 40, 0, 0);
    recorder.commit();
    recorder.sent();
  }
}

compaction('comes before the journal of a large state has no room left', () => {
  const journal = Journal.create(heapMemory(StateLayout.bytes(SIZES)), SIZES);
  const lost: string[] = [];
  journal.onLost = (why) => lost.push(why);
  // More than a third of a half, so that three times as much does not fit
  const texts = Math.floor((0.45 * SIZES.half) / TEXT.length);
  rewrite(new Recorder(journal), texts, 4 * texts);
  assert.equal(lost, []);
});

compaction('gives memory back in small pieces, also that of a daemon before', () => {
  const half = 64 * 1024 * 1024;
  const sizes = { ...SIZES, half };
  const pieces: number[] = [];
  const used = new Map<number, number>();
  const memory = {
    ...heapMemory(StateLayout.bytes(sizes)),
    discard: (start: number, length: number) => {
      pieces.push(length);
      used.set(start < halves[1] ? 0 : 1, start);
    },
  };
  const { halves } = StateLayout.create(memory, sizes);
  const KEPT = 8 * 1024 * 1024;
  const open = (): Recorder => new Recorder(new Journal(StateLayout.open(memory)));
  const first = open();
  rewrite(first, 100, 600);
  while (!first.step());
  // It dies before it gives back the half that it has filled.
  first.compact();
  while (first.journal.isCompacting) first.step();
  used.clear();
  const second = open();
  rewrite(second, 100, 1);
  for (let n = 0; n < 2; n++) {
    second.compact();
    while (!second.step());
  }
  assert.ok(Math.max(...pieces) <= 256 * 1024);
  assert.ok(
    [...used].every(([n, start]) => start === halves[n] + KEPT),
    'some is left',
  );
  assert.is(used.size, 2);
});

compaction('a record may be longer than the room that each record has', () => {
  let reserved = 0;
  const memory = {
    ...heapMemory(StateLayout.bytes(SIZES)),
    reserve: (start: number, length: number) => {
      reserved = start + length;
      return true;
    },
  };
  const journal = Journal.create(memory, SIZES);
  const lost: string[] = [];
  journal.onLost = (why) => lost.push(why);
  const long = new Uint8Array(3 * 1024 * 1024).fill(7);
  for (let ino = 0; lost.length === 0; ino++) {
    journal.begin(Kind.text).number(ino).bytes(long, 0, long.length).end();
    journal.commit();
    assert.ok(journal.layout.halves[0] + journal.length * 8 <= reserved, `text ${ino}`);
    if (lost.length > 0) break;
    const found = new StateTable(StateLayout.open(memory)).get('text', ino)!;
    assert.is(Buffer.compare(found.bytes, long), 0);
  }
  assert.equal(lost, ['its journal has no room left']);
  const [, other] = journal.layout.halves;
  assert.not(
    memory.bytes.subarray(other).some((byte) => byte !== 0),
    'it is in the other half',
  );
});

compaction.run();
