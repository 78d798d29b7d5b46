/** The daemon's counts that no request shows, after a restart. */
import * as assert from 'uvu/assert';
import { Journal } from '../../../fs/state/journal.js';
import { StateLayout, heapMemory } from '../../../fs/state/layout.js';
import { Recorder } from '../../../fs/state/recorder.js';
import { StateTable } from '../../../fs/state/table.js';
import { restoreTree } from '../../../fs/tree/restore/restore.js';
import { MemoryKernel, O_WRONLY } from '../../support/memory/kernel.js';
import { suite } from '../../support/runner/suite.js';

const counts = suite('a restarted daemon');

const SIZES = { ring: 1024 * 1024, mailbox: 4096, half: 16 * 1024 * 1024 };
const LOG = { bytes: SIZES.ring, events: 4096 };

counts('still counts a record that its publisher has cut', () => {
  const memory = heapMemory(StateLayout.bytes(SIZES));
  const recorder = new Recorder(Journal.create(memory, SIZES));
  const kernel = MemoryKernel.started({ log: LOG, recorder });
  const fh = kernel.open(kernel.walk('publish'), O_WRONLY);
  assert.is(kernel.write(fh, 'a@/b\n\nc@/d\nK'), 6); // the rest comes again
  assert.is(kernel.write(fh, 'c@/d\nK'), 6);
  recorder.commit();
  kernel.release(fh);
  recorder.commit();
  assert.is(kernel.status('PUBLISH_CUT'), 1);
  const layout = StateLayout.open(memory);
  const next = MemoryKernel.started({ log: LOG, recorder: new Recorder(new Journal(layout)) });
  restoreTree(next.tree, new StateTable(layout));
  assert.is(next.status('PUBLISH_CUT'), 1);
  kernel.close();
  next.close();
});

counts.run();
