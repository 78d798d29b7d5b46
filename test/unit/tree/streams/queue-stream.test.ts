/** Reads and polls of a directory's `.stream`, and its end. */
import * as assert from 'uvu/assert';
import { Child } from '../../../support/memory/child.js';
import { refusal } from '../../../support/memory/connection.js';
import { O_WRONLY } from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';
import { lostIn, records } from '../../bus/reading.js';
import { withKernel } from '../with-kernel.js';
import { record, recordsOf, results } from './records.js';

const queueSuite = suite('.stream');
const queue = withKernel(queueSuite);

queue('removes each event that it returns from the directory', (kernel, own) => {
  for (const seqnum of [1, 2, 3]) kernel.event(seqnum);
  const fh = kernel.open(kernel.walk('own/.stream'));
  assert.is(kernel.read(fh, record(1).length), record(1));
  assert.equal(kernel.names(own), ['2', '3']);
  kernel.unlink(own, '2');
  assert.is(kernel.read(fh), record(3));
  assert.equal(kernel.names(own), []);
});

queue(
  'frees a file that it has returned, though the kernel has not forgotten it',
  (kernel, own) => {
    kernel.event(1);
    const node = kernel.lookup(own, '1').nodeid;
    const fh = kernel.open(kernel.walk('own/.stream'));
    const nodes = kernel.status('NODES');
    kernel.read(fh);
    assert.is(kernel.status('NODES'), nodes - 1);
    assert.is(
      refusal(() => kernel.open(node)),
      'ESTALE',
    );
    kernel.forget(node);
    assert.is(kernel.status('NODES'), nodes - 1);
  },
);

queue('shares the events among its blocked readers, in order', (kernel) => {
  const node = kernel.walk('own/.stream');
  kernel.settles = false;
  const reads = Array.from({ length: 3 }, () => kernel.startRead(kernel.open(node)));
  for (let seqnum = 1; seqnum <= 7; seqnum++) kernel.event(seqnum);
  kernel.settle();
  assert.equal(results(reads), [recordsOf(1, 2, 3), recordsOf(4, 5), recordsOf(6, 7)]);
});

queue('keeps readers blocked if there are more of them than events', (kernel) => {
  const node = kernel.walk('own/.stream');
  const reads = Array.from({ length: 3 }, () => kernel.startRead(kernel.open(node)));
  kernel.event(1);
  kernel.event(2);
  assert.equal(results(reads), [record(1), record(2), undefined]);
});

queue(
  'returns the rest of a record to the next read of the same file, though other readers wait before it',
  (kernel) => {
    const node = kernel.walk('own/.stream');
    const [one, other] = [kernel.open(node), kernel.open(node)];
    const reads = [kernel.startRead(one, 10), kernel.startRead(other), kernel.startRead(one)];
    kernel.event(1);
    assert.equal(results(reads), [record(1).slice(0, 10), undefined, record(1).slice(10)]);
  },
);

queue(
  'leaves a file in the directory until it has been written, then wakes a blocked reader',
  (kernel, own) => {
    const fh = kernel.open(kernel.walk('own/.stream'));
    const waiting = kernel.startRead(fh);
    assert.is(kernel.poll(fh, 7), 0);
    const file = kernel.create(own, 'file');
    kernel.write(file.fh, 'mine@/x\n');
    assert.is(waiting.result, undefined);
    kernel.event(1);
    assert.is(waiting.result, record(1));
    assert.is(kernel.poll(fh, 7), 0);
    kernel.release(file.fh);
    assert.equal(kernel.wakeUps, [7, 7]);
    assert.is(kernel.read(fh), 'mine@/x\n\n');
    assert.equal(kernel.names(own), []);
  },
);

queue(
  'ends the record of a file without a line end, or without text, like any other',
  (kernel, own) => {
    kernel.make(own, 'a', 'a@/x');
    kernel.make(own, 'b', 'b@/x\n');
    kernel.make(own, 'c', '');
    kernel.make(own, 'd', 'long');
    const node = kernel.lookup(own, 'd').nodeid;
    kernel.put(node, 'd');
    assert.is(kernel.read(kernel.open(kernel.walk('own/.stream'))), 'a@/x\n\nb@/x\n\n\n\nd\n\n');
  },
);

queue('states the number of lost events before the first that is left', (kernel, own) => {
  for (let seqnum = 1; seqnum <= 4100; seqnum++) kernel.event(seqnum);
  const fh = kernel.open(kernel.walk('own/.stream'));
  const [first, second] = records(kernel.read(fh, 4096));
  assert.is(lostIn(first), 4);
  assert.is(second, record(5));
  kernel.event(4101);
  const pending = kernel.names(own).length;
  assert.match(kernel.cat(kernel.walk('own/.status')), `PENDING=${pending}\n`);
  assert.match(kernel.cat(kernel.walk('own/.status')), 'LOST=4\n');
});

queue(
  'fails with ESTALE when the directory is removed, as every open file in it does',
  (kernel, own) => {
    kernel.names(own);
    const [file, event] = [kernel.create(own, 'file'), 1];
    kernel.event(event);
    const status = kernel.open(kernel.walk('own/.status'));
    const held = kernel.open(kernel.lookup(own, '1').nodeid);
    const dh = kernel.opendir(own);
    const fh = kernel.open(kernel.walk('own/.stream'));
    kernel.unlink(own, 'file');
    kernel.read(fh);
    const waiting = kernel.startRead(fh);
    assert.is(kernel.poll(fh, 7), 0);
    kernel.rmdir('own');
    assert.is(waiting.result, 'ESTALE');
    assert.equal(kernel.wakeUps, [7]);
    const stale = [
      () => kernel.read(fh),
      () => kernel.poll(fh, 7),
      () => kernel.read(status),
      () => kernel.read(held),
      () => kernel.write(file.fh, 'x'),
      () => kernel.readdir(dh),
      () => kernel.getattr(own),
      () => kernel.getattr(file.nodeid),
      () => kernel.lookup(own, 'file'),
      () => kernel.opendir(own),
      () => kernel.create(own, 'other'),
      () => kernel.unlink(own, 'file'),
    ];
    assert.equal(
      stale.map(refusal),
      stale.map(() => 'ESTALE'),
    );
    assert.is(
      refusal(() => kernel.walk('own')),
      'ENOENT',
    );
    for (const open of [fh, status, held, file.fh]) kernel.release(open);
    kernel.releasedir(dh);
    kernel.forgetAll();
    assert.equal(kernel.counts, {
      directories: 0,
      owners: 0,
      handles: 0,
      parked: 0,
      unanswered: 0,
      groups: 0,
      waiting: 0,
      nodes: 0,
      known: 0,
    });
  },
);

queue(
  'fails with ESTALE when the owner dies, and no later request for the directory succeeds',
  async (kernel) => {
    const child = new Child();
    const directory = kernel.mkdir(String(child.pid), child.by);
    kernel.event(1);
    const event = kernel.lookup(directory, '1').nodeid;
    const held = kernel.open(event);
    const filter = kernel.walk(`${child.pid}/.filter`);
    const filterHandle = kernel.open(filter, O_WRONLY);
    const dh = kernel.opendir(directory);
    const file = kernel.create(directory, 'file');
    const fh = kernel.open(kernel.walk(`${child.pid}/.stream`));
    kernel.read(fh);
    const waiting = kernel.startRead(fh);
    await child.die();
    const stale = [
      () => kernel.read(held),
      () => kernel.getattr(directory),
      () => kernel.getattr(event),
      () => kernel.open(event),
      () => kernel.readdir(dh),
      () => kernel.opendir(directory),
      () => kernel.lookup(directory, '1'),
      () => kernel.lookup(directory, 'nothing'),
      () => kernel.write(file.fh, 'x'),
      () => kernel.write(filterHandle, 'A==1'),
      () => kernel.cat(filter),
      () => kernel.setattr(directory, { valid: 1, mode: 0o777 }),
      () => kernel.setattr(filter, { valid: 8, size: 0 }),
      () => kernel.create(directory, 'new'),
      () => kernel.unlink(directory, 'file'),
      () => kernel.mkdir('sub', {}, 0o755, directory),
      () => kernel.rmdir('sub', directory),
      () => kernel.read(fh),
      () => kernel.poll(fh, 1),
    ];
    assert.equal(
      stale.map(refusal),
      stale.map(() => 'ESTALE'),
    );
    assert.is(waiting.result, 'ESTALE');
    assert.is(
      refusal(() => kernel.walk(String(child.pid))),
      'ENOENT',
    );
    assert.is(
      refusal(() => kernel.rmdir(String(child.pid))),
      'ENOENT',
    );
    assert.not(kernel.names(1).includes(String(child.pid)));
    assert.is(kernel.counts.owners, 1);
    for (const open of [held, filterHandle, file.fh, fh]) kernel.release(open);
    kernel.releasedir(dh);
  },
);

queueSuite.run();

/** Checks `.stream` of a directory if a death comes between an event and its wake-ups. */
const deathSuite = suite('a death');
const death = withKernel(deathSuite);

death('between an event and its wake-ups fails each blocked reader once', async (kernel) => {
  const child = new Child();
  kernel.mkdir(String(child.pid), child.by);
  const waiting = kernel.startRead(kernel.open(kernel.walk(`${child.pid}/.stream`)));
  kernel.settles = false;
  kernel.event(1);
  await child.die();
  kernel.names(1);
  kernel.settle();
  assert.is(waiting.result, 'ESTALE');
  assert.is(kernel.parked.size, 0);
});

death('ends all directories of the process and no other', async (kernel) => {
  const [one, other] = [new Child(), new Child()];
  for (const label of ['a', 'b', 'c']) {
    for (const { pid, by } of [one, other]) kernel.mkdir(`${pid}.${label}`, by);
  }
  kernel.mkdir('named', one.by);
  assert.is(kernel.counts.owners, 3);
  await one.die();
  assert.equal(kernel.names(1).slice(0, -3), [
    'own',
    ...['a', 'b', 'c'].map((label) => `${other.pid}.${label}`),
  ]);
  assert.is(kernel.counts.owners, 2);
  await other.die();
});

death("leaves the process's reads elsewhere alone", async (kernel) => {
  const child = new Child();
  kernel.mkdir(String(child.pid), child.by);
  const waiting = kernel.startRead(kernel.open(kernel.walk('stream'), 0, child.by));
  await child.die();
  kernel.event(1);
  assert.is(waiting.result, record(1));
});

deathSuite.run();
