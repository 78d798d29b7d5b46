import * as assert from 'uvu/assert';
import { ControlWord } from '#native';
import { Recovery } from '../../../fs/drivers/devfuse/hand-over/recovery.js';
import { Transactions } from '../../../fs/drivers/devfuse/transactions.js';
import { Journal } from '../../../fs/state/journal.js';
import { StateLayout } from '../../../fs/state/layout.js';
import { Recorder } from '../../../fs/state/recorder.js';
import { StateTable } from '../../../fs/state/table.js';
import { type Handle, ParkedRead } from '../../../fs/tree/nodes/node.js';
import { restoreTree } from '../../../fs/tree/restore/restore.js';
import { MemoryKernel } from '../../support/memory/kernel.js';
import { suite } from '../../support/runner/suite.js';
import { SIZES, newMemory } from './guarded-kernel.js';

const state = suite('the records of the hot path');

/** A ring with fewer events than `log/` has. */
const SMALL_LOG = { bytes: SIZES.ring, events: 32 };
const EVENTS = 100;

function logOf(kernel: MemoryKernel): string[] {
  const { entries } = kernel.tree.log.queue;
  const lines: string[] = [];
  for (let at = entries.seek(0); at >= 0; at = entries.seek(at + 1)) {
    const { name, event } = entries.at(at)!;
    lines.push(`${at} ${name} ${event.ino} ${event.links} ${event.text}`);
  }
  return lines;
}

for (const isCompacted of [false, true])
  state(`log/ keeps events that the ring has overwritten, compacted: ${isCompacted}`, () => {
    const memory = newMemory();
    const recorder = new Recorder(Journal.create(memory, SIZES));
    const kernel = MemoryKernel.started({ log: SMALL_LOG, recorder });
    for (let seqnum = 1; seqnum <= EVENTS; seqnum++) kernel.event(seqnum);
    const { nodeid } = kernel.lookup(kernel.walk('log'), '3');
    recorder.commit();
    if (isCompacted) {
      recorder.onDue = () => undefined;
      recorder.compact();
      while (!recorder.step());
    }
    const before = logOf(kernel);
    assert.is(before.length, EVENTS);
    const layout = StateLayout.open(memory);
    const next = MemoryKernel.started({
      log: SMALL_LOG,
      recorder: new Recorder(new Journal(layout)),
    });
    restoreTree(next.tree, new StateTable(layout));
    assert.equal(logOf(next), before);
    assert.match(next.cat(nodeid), 'SEQNUM=3\n');
    next.close();
    kernel.close();
  });

state('a reply is for requests whose numbers are far apart, too', () => {
  const memory = newMemory();
  const journal = Journal.create(memory, SIZES);
  const recorder = new Recorder(journal);
  const reply = new Uint8Array(64).fill(7);
  const control = new Uint32Array(ControlWord.count);
  const transactions = new Transactions(
    recorder,
    new Uint8Array(64),
    reply,
    control,
    new Recovery(),
    () => false,
  );
  const numbers = [10, 12, 8, 2 ** 40, 10 + 2 ** 31, 10 + 2 ** 31 - 2];
  const uniques = new Uint32Array(2 * numbers.length);
  numbers.forEach((number, slot) => {
    uniques[2 * slot] = number;
    uniques[2 * slot + 1] = Math.floor(number / 2 ** 32);
  });
  const reads = numbers.map((_, slot) => new ParkedRead(slot, {} as Handle, 4096));
  transactions.answers(reads, uniques, 4);
  const layout = StateLayout.open(memory);
  const recovery = new Recovery(new Recorder(new Journal(layout)), new StateTable(layout));
  for (const number of numbers)
    assert.equal([...(recovery.reply(number)?.bytes ?? [])], [7, 7, 7, 7], `${number}`);
  assert.is(recovery.reply(14), undefined);
});

state.run();
