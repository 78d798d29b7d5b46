import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { Journal } from '../../../fs/state/journal.js';
import { StateLayout, type StateMemory, heapMemory } from '../../../fs/state/layout.js';
import { Recorder } from '../../../fs/state/recorder.js';
import { StateTable } from '../../../fs/state/table.js';
import { restoreTree } from '../../../fs/tree/restore/restore.js';
import { MemoryKernel } from '../../support/memory/kernel.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const restore = suite('a tree restored from its state');

const SIZES = { ring: 1024 * 1024, mailbox: 4096, half: 16 * 1024 * 1024 };
const LOG = { bytes: SIZES.ring, events: 4096 };
const S_IFIFO = 0o010000;
const FATTR_MODE = 1;
/** The most events of a queue. */
const QUEUE_EVENTS = 4096;
/** The size of a read that has room for one record. */
const LOSS_BYTES = 90;

/** A kernel whose daemon records all that it does, in memory that outlives it. */
class Guarded {
  readonly memory: StateMemory = heapMemory(StateLayout.bytes(SIZES));
  kernel = this.#start(Journal.create(this.memory, SIZES));
  seqnum = 0;

  #start(journal: Journal): MemoryKernel {
    return MemoryKernel.started({ log: LOG, recorder: new Recorder(journal) });
  }

  get recorder(): Recorder {
    return this.kernel.tree.recorder!;
  }

  /** Starts another daemon on the same state, as after a SIGKILL. */
  restart(): MemoryKernel {
    const layout = StateLayout.open(this.memory);
    const next = this.#start(new Journal(layout));
    restoreTree(next.tree, new StateTable(layout));
    return next;
  }
}

/** Returns all that a client can see of a tree without open files. */
function seen(kernel: MemoryKernel): unknown {
  const list = (parent: number): unknown[] =>
    kernel.names(parent).map((name) => {
      const { nodeid, ...attr } = kernel.lookup(parent, name);
      const type = attr['attr.mode'] & 0o170000;
      if (type === 0o040000) return [name, attr, list(nodeid)];
      if (type === 0o120000) return [name, attr, kernel.readlink(nodeid)];
      return [name, attr, type === 0o100000 && name !== 'publish' ? kernel.cat(nodeid) : ''];
    });
  const directories = [...kernel.tree.root.directories].map(({ name, filter, owner, queue }) => [
    name,
    filter.text,
    owner.pid,
    queue.lost,
    queue.losses.toText(),
    queue.entries.nextPosition,
    queue.bytes,
    queue.heap,
  ]);
  const { events, bytes, memory } = kernel.tree.ledger.account(0, 0) as unknown as Record<
    string,
    number
  >;
  return { list: list(1), directories, bus: kernel.bus.counted, quota: [events, bytes, memory] };
}

/** Fails with the first line that differs: fast-check shows no difference of large values. */
function assertSame(found: unknown, expected: unknown): void {
  const [a, b] = [found, expected].map((value) => JSON.stringify(value, null, 1).split('\n'));
  const at = a.findIndex((line, n) => line !== b[n]);
  if (at < 0 && a.length === b.length) return;
  throw new Error(`line ${at}: ${a.slice(at - 12, at + 3).join('')} instead of ${b[at]}`);
}

type Step = { action: number; a: number; b: number; size: number };

const NAMES = ['a', 'b', 'c', 'd'];

/** Does one random system call; an error of the call is no error of the test. */
function perform(guarded: Guarded, { action, a, b, size }: Step): void {
  const { kernel } = guarded;
  const directory = (n: number): number => kernel.lookup(1, `${process.pid}.${NAMES[n]}`).nodeid;
  switch (action) {
    case 0:
      kernel.mkdir(`${process.pid}.${NAMES[a]}`);
      break;
    case 1:
      kernel.make(directory(a), NAMES[b], 'x'.repeat(size));
      break;
    case 2:
      kernel.link(kernel.lookup(directory(a), 'head').nodeid, directory(b), 'linked');
      break;
    case 3:
      kernel.rename(directory(a), NAMES[b], directory(b), NAMES[a]);
      break;
    case 4:
      kernel.unlink(directory(a), size % 2 === 0 ? 'head' : NAMES[b]);
      break;
    case 5:
      kernel.mknod(directory(a), `fifo${b}`, S_IFIFO | 0o644);
      break;
    case 6:
      kernel.symlink(directory(a), `link${b}`, 'to'.repeat(b + 1));
      break;
    case 7:
      kernel.put(kernel.lookup(directory(a), '.filter').nodeid, `SUBSYSTEM==m${b}|mem`);
      break;
    case 8:
      kernel.setattr(directory(a), { valid: FATTR_MODE, mode: 0o700 + b });
      break;
    case 9:
      kernel.rmdir(`${process.pid}.${NAMES[a]}`);
      break;
    case 10:
      guarded.recorder.commit();
      guarded.recorder.onDue = () => undefined; // its steps come between other calls
      if (!guarded.recorder.journal.isCompacting) guarded.recorder.compact();
      break;
    case 11:
      kernel.lookup(directory(a), kernel.names(directory(a))[0]);
      break;
    case 12:
      guarded.recorder.step();
      break;
    default:
      for (let n = 0; n < 1 + b * 8; n++)
        kernel.event(++guarded.seqnum, `SUBSYSTEM=m${a}\nFILL=${'x'.repeat(size)}\n`);
  }
}

const step = fc.record({
  action: fc.nat(15),
  a: fc.nat(3),
  b: fc.nat(3),
  size: fc.oneof(fc.nat(20), fc.nat(8000)),
});

restore('shows the same as before the restart, after any history', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const guarded = new Guarded();
      try {
        for (const one of steps) {
          try {
            perform(guarded, one);
          } catch (error) {
            if ((error as { code?: string }).code === undefined) throw error;
          }
          guarded.recorder.commit();
        }
        const before = seen(guarded.kernel);
        guarded.recorder.commit();
        while (guarded.recorder.journal.isCompacting) guarded.recorder.step();
        const next = guarded.restart();
        try {
          assertSame(seen(next), before);
        } finally {
          next.close();
        }
      } finally {
        guarded.kernel.close();
      }
    }),
    runs(60),
  );
});

restore('a reader that was told of a loss is not told again after the restart', () => {
  const guarded = new Guarded();
  const { kernel, recorder } = guarded;
  const path = `${process.pid}.full`;
  kernel.mkdir(path);
  // More than the queue takes
  for (let n = 1; n <= 2 * QUEUE_EVENTS; n++) kernel.event(n);
  recorder.commit();
  // The record of the loss, and no room for an event
  const told = kernel.read(kernel.open(kernel.walk(`${path}/.stream`)), LOSS_BYTES);
  assert.match(told, `LOST=${QUEUE_EVENTS}\n`);
  assert.not.match(told, 'add@');
  recorder.commit();
  const next = guarded.restart();
  const more = next.read(next.open(next.walk(`${path}/.stream`)), LOSS_BYTES);
  assert.match(more, /^add@/);
  next.close();
  kernel.close();
});

restore('a compaction takes a queue in small steps, and leaves it as it is', () => {
  const guarded = new Guarded();
  const { kernel, recorder } = guarded;
  const directory = kernel.mkdir(`${process.pid}.full`);
  const FILES = 1000;
  for (let n = 0; n < FILES; n++) kernel.make(directory, `file${n}`, 'x'.repeat(4000));
  recorder.commit();
  const before = seen(kernel);
  recorder.onDue = () => undefined;
  recorder.compact();
  let steps = 1;
  while (!recorder.step()) steps++;
  assert.ok(steps > FILES / 20, `${FILES} files in ${steps} steps`);
  const next = guarded.restart();
  assertSame(seen(next), before);
  next.close();
  kernel.close();
});

restore.run();
