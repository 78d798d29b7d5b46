/** Reads and polls of `stream` and `match/`. */
import * as assert from 'uvu/assert';
import { WOKEN_AT_ONCE } from '../../../../fs/tree/streams/streams.js';
import { type Pending, refusal } from '../../../support/memory/connection.js';
import { O_NONBLOCK, O_WRONLY } from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';
import { lostIn, records } from '../../bus/reading.js';
import { withKernel } from '../with-kernel.js';
import { record, recordsOf, results } from './records.js';

const streamSuite = suite('stream');
const stream = withKernel(streamSuite);

stream('returns every event to every open file', (kernel) => {
  const node = kernel.walk('stream');
  const reads = Array.from({ length: 100 }, (_, n) =>
    kernel.startRead(kernel.open(node), n % 3 === 0 ? 4096 : 65536),
  );
  kernel.event(1);
  assert.ok(results(reads).every((result) => result === record(1)));
});

stream('begins with the first event after its open', (kernel) => {
  kernel.event(1);
  const fh = kernel.open(kernel.walk('stream'));
  kernel.event(2);
  assert.is(kernel.read(fh), record(2));
});

stream('returns the whole batch to each blocked reader', (kernel) => {
  kernel.settles = false;
  const pending = kernel.startRead(kernel.open(kernel.walk('stream')));
  for (const seqnum of [1, 2, 3]) kernel.event(seqnum);
  assert.is(pending.result, undefined);
  kernel.settle();
  assert.is(pending.result, recordsOf(1, 2, 3));
});

stream('keeps blocked readers at different places apart', (kernel) => {
  const node = kernel.walk('stream');
  const [behind, level, small] = [kernel.open(node), kernel.open(node), kernel.open(node)];
  kernel.event(1);
  kernel.read(level);
  kernel.read(small, 20);
  assert.is(kernel.read(behind, 5), record(1).slice(0, 5));
  kernel.read(behind);
  kernel.read(small);
  const late = kernel.open(node);
  const reads = [
    kernel.startRead(behind),
    kernel.startRead(level, 30),
    kernel.startRead(small, 30),
    kernel.startRead(late),
  ];
  kernel.event(2);
  assert.equal(results(reads), [
    record(2),
    record(2).slice(0, 30),
    record(2).slice(0, 30),
    record(2),
  ]);
  for (const fh of [level, small]) assert.is(kernel.read(fh), record(2).slice(30));
});

stream(
  'answers blocked readers at the same place at once, whenever they began to wait',
  (kernel) => {
    for (const path of ['stream', 'match/SUBSYSTEM==mem']) {
      const node = kernel.walk(path);
      const reads: Pending[] = [];
      for (let n = 0; n < 10; n++) {
        reads.push(kernel.startRead(kernel.open(node)));
        if (path !== 'stream') kernel.event(100 + n, 'SUBSYSTEM=net\n');
      }
      kernel.batches.length = 0;
      kernel.event(1);
      assert.equal(kernel.batches, [10]);
      assert.ok(results(reads).every((result) => result === record(1)));
    }
  },
);

stream('wakes further readers while those that it has woken come back', (kernel) => {
  const node = kernel.walk('stream');
  const handles = Array.from({ length: 160 }, () => kernel.open(node));
  const reads = handles.map((fh) => kernel.startRead(fh));
  kernel.settles = false;
  kernel.event(1);
  kernel.bus.settleSome();
  const woken = handles.filter((_, index) => reads[index].result === record(1));
  assert.ok(woken.length > 0 && woken.length < 160);
  const again = woken.map((fh) => kernel.startRead(fh));
  kernel.event(2);
  kernel.settle();
  assert.ok(results(again).every((result) => result === record(2)));
  assert.ok(results(reads.slice(woken.length)).every((result) => result === recordsOf(1, 2)));
  assert.is(kernel.parked.size, 0);
});

stream('asks for a further round only while readers wait', (kernel) => {
  const node = kernel.walk('stream');
  kernel.settles = false;
  for (const [readers, more] of [
    [WOKEN_AT_ONCE, false],
    [WOKEN_AT_ONCE + 1, true],
  ] as const) {
    const handles = Array.from({ length: readers }, () => kernel.open(node));
    for (const fh of handles) kernel.startRead(fh);
    kernel.event(readers);
    assert.is(kernel.tree.settle(), more);
    assert.is(kernel.parked.size, more ? 1 : 0);
    assert.is(more && kernel.tree.settle(), false);
  }
});

stream('cuts a record for each open file at the end of its read', (kernel) => {
  const node = kernel.walk('stream');
  const [one, other] = [kernel.open(node), kernel.open(node)];
  const reads = [
    kernel.startRead(one, 10),
    kernel.startRead(other, 20),
    kernel.startRead(one, 15),
    kernel.startRead(other, 15),
  ];
  kernel.event(1);
  assert.equal(
    results(reads),
    [
      [0, 10],
      [0, 20],
      [10, 25],
      [20, 35],
    ].map(([from, to]) => record(1).slice(from, to)),
  );
});

stream(
  'blocks a read that comes between an event and its wake-ups, unless the file is non-blocking',
  (kernel) => {
    const node = kernel.walk('stream');
    const [one, other] = [kernel.open(node), kernel.open(node)];
    const waiting = kernel.startRead(one);
    kernel.settles = false;
    kernel.event(1);
    // another thread's read of the same file
    assert.is(kernel.read(one, 65536, 0, O_NONBLOCK), record(1));
    const late = kernel.startRead(other);
    assert.is(late.result, undefined);
    kernel.event(2);
    kernel.settle();
    assert.is(late.result, record(1) + record(2));
    assert.is(waiting.result, record(2));
  },
);

stream(
  'returns an event at once that other readers have got, while newer ones wait for their wake-ups',
  (kernel) => {
    const fh = kernel.open(kernel.walk('stream'));
    kernel.event(1);
    kernel.settle();
    kernel.settles = false;
    kernel.event(2);
    assert.is(kernel.read(fh), record(1) + record(2));
  },
);

stream('loses nothing if a read is interrupted between an event and its wake-ups', (kernel) => {
  const fh = kernel.open(kernel.walk('stream'));
  const waiting = kernel.startRead(fh);
  kernel.settles = false;
  kernel.event(1);
  kernel.interruptRead(waiting);
  kernel.settle();
  assert.is(waiting.result, 'EINTR');
  assert.is(kernel.read(fh), record(1));
});

stream('refuses a write', (kernel) => {
  const fh = kernel.open(kernel.walk('stream'), O_WRONLY);
  assert.is(
    refusal(() => kernel.write(fh, 'x')),
    'EINVAL',
  );
});

stream('shows its readers and their lag in log/.status', (kernel) => {
  const fh = kernel.open(kernel.walk('match/SUBSYSTEM==mem'), 0, { pid: 4711 });
  kernel.event(1);
  kernel.event(2, 'SUBSYSTEM=net\n');
  assert.match(
    kernel.cat(kernel.walk('log/.status')),
    'STREAM_0=pid=4711 id=0 pending=1 lost=0 added=1 filter=SUBSYSTEM==mem\n',
  );
  kernel.read(fh);
  assert.match(kernel.cat(kernel.walk('log/.status')), 'pending=0');
});

streamSuite.run();

const smallSuite = suite('stream with a small log');
const small = withKernel(smallSuite, { log: { bytes: 1000, events: 8 } });

small('states the number of missing events at their place', (kernel) => {
  const fh = kernel.open(kernel.walk('stream'));
  for (let seqnum = 1; seqnum <= 20; seqnum++) kernel.event(seqnum);
  const [first, ...rest] = records(kernel.read(fh));
  assert.is(lostIn(first), 12);
  assert.equal(rest, [13, 14, 15, 16, 17, 18, 19, 20].map(record));
});

small('returns the same loss to blocked readers that have lost the same', (kernel) => {
  const node = kernel.walk('stream');
  const [one, other, level] = [kernel.open(node), kernel.open(node), kernel.open(node)];
  kernel.settles = false;
  const reads = [kernel.startRead(one), kernel.startRead(other)];
  for (let seqnum = 1; seqnum <= 10; seqnum++) kernel.event(seqnum);
  kernel.read(level);
  kernel.settle();
  assert.is(lostIn(records(reads[0].result!)[0]), 2);
  assert.is(reads[1].result, reads[0].result);
  const status = kernel.cat(kernel.walk('log/.status'));
  assert.is(status.match(/pending=0 lost=2/g)?.length, 3);
});

smallSuite.run();
