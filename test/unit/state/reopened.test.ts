/** When a journal is compacted, and how far. */
import * as assert from 'uvu/assert';
import { Journal } from '../../../fs/state/journal.js';
import { StateLayout, heapMemory } from '../../../fs/state/layout.js';
import { Recorder } from '../../../fs/state/recorder.js';
import { Kind } from '../../../fs/state/schema.js';
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

compaction.run();
