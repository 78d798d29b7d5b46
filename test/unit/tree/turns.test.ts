/**
 * A death takes effect in one step, however much the dead process held. Wake-ups and freeing are
 * cut into turns.
 */
import * as assert from 'uvu/assert';
import { FsError, errnoName } from '../../../fs/shared/errors.js';
import { UeventText } from '../../../fs/uevent/text.js';
import type { ProcessDirectory } from '../../../fs/tree/nodes/process-directory.js';
import type { FileHandle } from '../../../fs/tree/nodes/node.js';
import { type Task, Turns } from '../../../fs/tree/turns.js';
import { Child } from '../../support/memory/child.js';
import { MemoryKernel } from '../../support/memory/kernel.js';
import { cpuMs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const turns = suite('postponed work');

/** Returns a task of `steps` steps, each of which takes some CPU time. */
class Steps implements Task {
  constructor(
    public left: number,
    private readonly ms: number,
  ) {}

  step(): boolean {
    const endMs = performance.now() + this.ms;
    while (performance.now() < endMs);
    return --this.left === 0;
  }
}

turns('is done at once if it is short', () => {
  const all = new Turns();
  const task = new Steps(3, 0);
  all.add(task);
  assert.is(task.left, 0);
  assert.is(all.pending, 0);
});

turns('is cut into turns of about a millisecond, and ends', async () => {
  const all = new Turns();
  const tasks = Array.from({ length: 20 }, () => new Steps(10, 0.1));
  let longestMs = 0;
  for (const task of tasks) {
    const startMs = cpuMs();
    all.add(task);
    longestMs = Math.max(longestMs, cpuMs() - startMs);
  }
  assert.ok(longestMs < 5, `a turn took ${longestMs} ms`);
  assert.ok(all.pending > 10, `${all.pending} are left`);
  let others = 0;
  while (all.pending > 0) {
    await new Promise((done) => setImmediate(done));
    others++;
  }
  assert.ok(others >= 5, `others had ${others} turns`);
  assert.ok(tasks.every(({ left }) => left === 0));
});

turns('may be added by a step: it begins when that step has ended', () => {
  const all = new Turns();
  const order: string[] = [];
  all.add({
    step: () => {
      order.push('begins');
      all.add({ step: () => order.push('inner') > 0 });
      return order.push('ends') > 0;
    },
  });
  all.finish();
  assert.equal(order, ['begins', 'ends', 'inner']);
});

turns('is completed by finish()', () => {
  const all = new Turns();
  const tasks = Array.from({ length: 20 }, () => new Steps(10, 0.1));
  for (const task of tasks) all.add(task);
  all.finish();
  assert.is(all.pending, 0);
  assert.ok(tasks.every(({ left }) => left === 0));
});

const FILES = 4000;
const READERS = 50;
const LARGE_EVENTS = 60;
const LARGE_BYTES = 64 * 1024;

turns('after a death leaves nothing reachable meanwhile', async () => {
  const kernel = MemoryKernel.started();
  const child = new Child();
  const names = ['a', 'b', 'c'].map((label) => `${child.pid}.${label}`);
  const [full, ...read] = names.map((name) => kernel.mkdir(name, child.by));
  const file = kernel.create(full, 'file').fh;
  for (let n = 1; n < FILES; n++) kernel.make(full, `${n}`, '');
  const streams = read.map((node) => kernel.open(kernel.lookup(node, '.stream').nodeid));
  const waiting = streams.flatMap((fh) =>
    Array.from({ length: READERS }, () => kernel.startRead(fh)),
  );
  await child.die();
  kernel.owners.watch.drain(); // without any of the turns
  for (const name of names) assert.is(kernel.tree.root.lookup(name), undefined);
  assert.is(
    refusal(() => kernel.tree.handle(file as FileHandle)),
    'ESTALE',
  );
  kernel.bus.publish(published(), 0);
  kernel.bus.settle();
  kernel.tree.turns.finish();
  for (const pending of waiting) assert.is(pending.result, 'ESTALE');
  for (const fh of [file, ...streams]) kernel.release(fh);
  kernel.forgetAll();
  for (const key of ['DIRECTORIES', 'EVENTS', 'BYTES', 'HANDLES'])
    assert.is(kernel.status(key), 0, key);
  kernel.close();
});

turns('free one large event a step: the arena moves ten bytes for each that is freed', async () => {
  const kernel = MemoryKernel.started();
  const child = new Child();
  const ended = kernel.mkdir(`${child.pid}`, child.by);
  const text = 'x'.repeat(LARGE_BYTES);
  for (let n = 0; n < LARGE_EVENTS; n++) kernel.make(ended, `${n}`, text);
  const directory = kernel.tree.root.lookup(`${child.pid}`) as ProcessDirectory;
  const { queue } = directory;
  await child.die();
  kernel.owners.watch.drain(); // what is freed at once: 0.4 ms
  let steps = 0;
  for (; queue.bytes > LARGE_BYTES; steps++) {
    const before = queue.bytes;
    directory.step();
    assert.ok(before - queue.bytes <= LARGE_BYTES, `a step freed ${before - queue.bytes} bytes`);
  }
  assert.ok(steps > 0, 'all was freed at once');
  kernel.tree.turns.finish();
  kernel.forgetAll();
  assert.is(kernel.status('BYTES'), 0);
  kernel.close();
});

function published(): UeventText {
  const text = new UeventText();
  const bytes = Buffer.from('late@/x\nACTION=late\n');
  text.readPublished(bytes, 0, bytes.length);
  return text;
}

function refusal(call: () => unknown): string {
  try {
    call();
    return 'none';
  } catch (error) {
    if (error instanceof FsError) return errnoName(error.errno);
    throw error;
  }
}

turns.run();
