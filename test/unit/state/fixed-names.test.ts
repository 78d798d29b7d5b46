/** Directories and fixed names that the kernel knows from a daemon that has died. */
import * as assert from 'uvu/assert';
import { Journal } from '../../../fs/state/journal.js';
import { StateLayout, heapMemory } from '../../../fs/state/layout.js';
import { Recorder } from '../../../fs/state/recorder.js';
import { StateTable } from '../../../fs/state/table.js';
import { restoreTree } from '../../../fs/tree/restore/restore.js';
import { MemoryKernel } from '../../support/memory/kernel.js';
import { suite } from '../../support/runner/suite.js';

const SIZES = { ring: 1024 * 1024, mailbox: 4096, half: 2 * 1024 * 1024 };
const LOG = { bytes: SIZES.ring, events: 64 };

const fixed = suite('a fixed name that the kernel knows from the last daemon');

const start = (journal: Journal): MemoryKernel =>
  MemoryKernel.started({ log: LOG, recorder: new Recorder(journal) });

fixed('is opened without another lookup, as long as its directory lives', () => {
  const memory = heapMemory(StateLayout.bytes(SIZES));
  const before = start(Journal.create(memory, SIZES));
  const directory = before.mkdir(`${process.pid}.a`);
  const nodes = ['.status', '.filter', '.since'].map(
    (name) => before.lookup(directory, name).nodeid,
  );
  const log = before.lookup(1, 'log').nodeid;
  const logStatus = before.lookup(log, '.status').nodeid;
  const metrics = before.lookup(log, '.metrics').nodeid;
  const head = logStatus - 5; // log/head
  before.tree.recorder!.commit();
  before.close();

  const layout = StateLayout.open(memory);
  const after = start(new Journal(layout));
  restoreTree(after.tree, new StateTable(layout));
  for (const node of nodes) assert.type(after.cat(node), 'string');
  assert.match(after.cat(logStatus), /^DAEMON=/);
  assert.match(after.cat(metrics), /^# HELP /);
  assert.is(after.lookup(log, '.metrics').nodeid, metrics);
  after.getattr(head); // also while the log is empty
  assert.is(after.lookup(directory, '.status').nodeid, nodes[0]);
  after.rmdir(`${process.pid}.a`);
  for (const node of nodes) assert.throws(() => after.cat(node), /ESTALE/);
  after.close();
});

fixed.run();

const directories = suite('a directory that the kernel knows from the last daemon');

directories('is known until it ends, even if a FORGET counts lookups of that time', () => {
  const memory = heapMemory(StateLayout.bytes(SIZES));
  const before = start(Journal.create(memory, SIZES));
  const name = `${process.pid}.a`;
  const own = before.mkdir(name);
  const log = before.lookup(1, 'log').nodeid;
  for (let n = 0; n < 9; n++) for (const known of [name, 'log']) before.lookup(1, known);
  before.tree.recorder!.commit();
  before.close();

  const layout = StateLayout.open(memory);
  const after = start(new Journal(layout));
  restoreTree(after.tree, new StateTable(layout));
  for (const known of [name, 'log']) after.lookup(1, known);
  // The kernel evicts the old inode while the last lookup is on its way, and makes another one.
  for (const node of [own, log]) after.forget(node, 10);
  for (const node of [own, log]) after.lookup(node, '.status');
  after.rmdir(name);
  assert.throws(() => after.getattr(own), /ESTALE/);
  after.close();
});

directories.run();
