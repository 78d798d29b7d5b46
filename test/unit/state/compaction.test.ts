/** A compaction holds no request for long, however large the things are that it copies. */
import * as assert from 'uvu/assert';
import { Journal } from '../../../fs/state/journal.js';
import { StateLayout, heapMemory } from '../../../fs/state/layout.js';
import { type Recorded, Recorder } from '../../../fs/state/recorder.js';
import { Kind } from '../../../fs/state/schema.js';
import { suite } from '../../support/runner/suite.js';

const compaction = suite('a compaction of the journal');

const SIZES = { ring: 4096, mailbox: 4096, half: 48 * 1024 * 1024 };
const TEXT = new Uint8Array(64 * 1024).fill(7);
const TEXT_WORDS = TEXT.length / 8;
const TEXTS = 320;

/** Begins a compaction of many long texts, and counts those that it has copied. */
function begun(): { recorder: Recorder; copied: () => number } {
  const recorder = new Recorder(Journal.create(heapMemory(StateLayout.bytes(SIZES)), SIZES));
  let copied = 0;
  const things: Recorded[] = Array.from({ length: TEXTS }, (_, ino) => ({
    isMarked: false,
    record: (journal) => {
      copied++;
      journal.begin(Kind.text).number(ino).bytes(TEXT, 0, TEXT.length).end();
    },
  }));
  recorder.living = () => things;
  recorder.compact();
  return { recorder, copied: () => copied };
}

/** Answers one request with `bytes` of reply. */
function answer(recorder: Recorder, bytes: number): void {
  recorder.reply(1, 0, TEXT, 0, bytes, 0, 0);
  recorder.commit();
  recorder.sent();
}

compaction('copies in proportion to what a request has written, not to the things', () => {
  const { recorder, copied } = begun();
  answer(recorder, TEXT.length);
  assert.ok(copied() >= 1 && copied() <= 10, `${copied()} texts in one request`);
});

compaction('copies one long thing for many small requests', () => {
  const { recorder, copied } = begun();
  // A reply has a few words besides its bytes
  const requests = Math.floor(TEXT_WORDS / 8 / 32);
  for (let n = 0; n < requests; n++) answer(recorder, 100);
  assert.ok(copied() >= 1 && copied() <= 2, `${copied()} texts in ${requests} requests`);
});

compaction('copies little in one step', () => {
  const { recorder, copied } = begun();
  recorder.step();
  assert.is(copied(), 1);
});

compaction('keeps pace with requests', () => {
  const { recorder } = begun();
  let requests = 0;
  for (; recorder.journal.isCompacting; requests++) answer(recorder, TEXT.length);
  assert.ok(requests <= TEXTS, `${requests} requests for ${TEXTS} texts`);
});

compaction.run();
