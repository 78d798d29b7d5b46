/** A journal that a later daemon goes on with. */
import * as assert from 'uvu/assert';
import { Journal } from '../../../fs/state/journal.js';
import { StateLayout, heapMemory } from '../../../fs/state/layout.js';
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
