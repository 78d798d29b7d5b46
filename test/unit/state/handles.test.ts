import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { ITEMS } from '../../../fs/shared/quota-items.js';
import type { StateMemory } from '../../../fs/state/layout.js';
import {
  type MemoryKernel,
  O_APPEND,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
} from '../../support/memory/kernel.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';
import { copyOf, newMemory, startFirst, startNext } from './guarded-kernel.js';

const handles = suite('the open files of a tree restored from its state');

/** An open file of the test. */
interface Open {
  readonly fh: number;
  readonly path: string;
  readonly isDirectory: boolean;
  /** Where the next read or listing begins. */
  offset: number;
}

interface Step {
  readonly action: number;
  readonly a: number;
  readonly b: number;
  readonly size: number;
}

const own = (n: number): string => `${process.pid}.${n % 2}`;

/** Paths to open, with the flags. `%` is a process directory. */
const FILES: readonly (readonly [string, number])[] = [
  ['stream', O_RDONLY],
  ['match/SUBSYSTEM==m1', O_RDONLY],
  ['match/SUBSYSTEM==m*', O_RDONLY],
  ['publish', O_WRONLY],
  ['%/.stream', O_RDONLY],
  ['%/.filter', O_RDWR],
  ['%/.since', O_RDWR],
  ['%/.status', O_RDONLY],
  ['log/.status', O_RDONLY],
  ['log/.metrics', O_RDONLY],
  ['%/head', O_RDONLY],
  ['%/written', O_RDWR],
  ['log/tail', O_RDONLY],
];
const DIRECTORIES = ['', '%', 'log', 'match'];
const TEXTS = [
  'add@/a\nSUBSYSTEM=m1\n',
  'add@/b\n',
  'SUBSYSTEM=m2\n\n',
  'add@/c\nSUBSYSTEM=m1\n\nadd@/d\nSUBSY',
];

/** Runs a call of a client; an errno is a result like any other. */
function outcome(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === undefined) throw error;
    return code;
  }
}

function nodeOf(kernel: MemoryKernel, path: string): number {
  if (path === '') return 1;
  const [directory, name] = path.split('/');
  if (name !== 'head' && name !== 'tail') return kernel.walk(path);
  const parent = kernel.walk(directory);
  return kernel.lookup(parent, kernel.readlink(kernel.lookup(parent, name).nodeid)).nodeid;
}

function readOf(kernel: MemoryKernel, file: Open, size: number): unknown {
  const { fh } = file;
  if (file.isDirectory)
    return outcome(() => {
      const entries = kernel.readdir(fh, file.offset, 64 + size);
      file.offset = entries.length === 0 ? 0 : entries[entries.length - 1].off;
      return entries;
    });
  return outcome(() => {
    const text = kernel.read(fh, Math.max(size, 1), file.offset, O_NONBLOCK);
    if (!file.path.includes('stream') && !file.path.includes('match')) file.offset += text.length;
    return text;
  });
}

/** A world of one kernel and its open files. */
class World {
  readonly memory: StateMemory = newMemory();
  readonly kernel = startFirst(this.memory);
  readonly open: Open[] = [];
  #seqnum = 0;

  perform({ action, a, b, size }: Step): void {
    const { kernel, open } = this;
    const file = open[a % Math.max(open.length, 1)] as Open | undefined;
    switch (action) {
      case 0:
      case 1:
      case 2: {
        const [path, flags] = FILES[(4 * a + b) % FILES.length];
        const named = path.replace('%', own(b));
        const fh = kernel.open(nodeOf(kernel, named), flags);
        open.push({ fh, path: named, isDirectory: false, offset: 0 });
        break;
      }
      case 3: {
        const path = DIRECTORIES[b].replace('%', own(a));
        const fh = kernel.opendir(nodeOf(kernel, path));
        open.push({ fh, path, isDirectory: true, offset: 0 });
        break;
      }
      case 4:
      case 5:
        if (file !== undefined) readOf(kernel, file, size);
        break;
      case 6:
      case 7:
        if (file === undefined) break;
        if (file.path.endsWith('.filter'))
          kernel.write(file.fh, `SUBSYSTEM==m${b}`, 0, b % 2 === 0 ? O_APPEND : 0);
        else if (file.path.endsWith('.since')) kernel.write(file.fh, '1');
        else kernel.write(file.fh, TEXTS[b], 0);
        break;
      case 8:
        if (file !== undefined && !file.isDirectory) kernel.poll(file.fh, file.fh + 1);
        break;
      case 9:
        if (file === undefined) break;
        open.splice(open.indexOf(file), 1);
        kernel.release(file.fh, file.isDirectory ? 'FUSE_RELEASEDIR' : 'FUSE_RELEASE');
        break;
      case 10:
        kernel.mkdir(own(b));
        break;
      case 11:
        if (b === 0) kernel.rmdir(own(a));
        else if (b === 1) kernel.unlink(kernel.walk(own(a)), 'head');
        else kernel.rename(kernel.walk(own(a)), 'written', kernel.walk(own(a + 1)), 'written');
        break;
      case 12:
        kernel.make(kernel.walk(own(a)), 'written', 'add@/w\n');
        break;
      default:
        for (let n = 0; n < 1 + b * 4; n++)
          kernel.event(++this.#seqnum, `SUBSYSTEM=m${a % 3}\nFILL=${'x'.repeat(size)}\n`);
    }
  }

  step(step: Step): void {
    outcome(() => this.perform(step));
    this.kernel.tree.recorder!.commit();
  }
}

/** Does with each open file what a client may do, and returns all that the client sees. */
function probe(kernel: MemoryKernel, open: readonly Open[]): unknown[] {
  const { mount } = kernel.tree.ledger;
  // An open file of an ended directory has no text any more after a restart, and no charge for it.
  const hasEnded = open.some(({ fh }) => outcome(() => kernel.poll(fh, fh + 1)) === 'ESTALE');
  const held = (isExact = true): unknown =>
    ITEMS.filter((item) => isExact || item !== 'memory').map((item) => [item, mount[item]]);
  const results: unknown[] = [held(!hasEnded), kernel.status('HANDLES'), kernel.status('STREAMS')];
  for (const original of open) {
    const file = { ...original };
    const { fh, path } = file;
    const found: unknown[] = [path, outcome(() => kernel.poll(fh, fh + 1))];
    if (path === 'publish' || path.endsWith('.filter'))
      found.push(outcome(() => kernel.write(fh, 'SUBSYSTEM==m1|m2', 0, O_APPEND)));
    for (let n = 0; n < 4; n++) found.push(readOf(kernel, file, [5, 60, 9000, 60][n]));
    results.push(found);
  }
  for (const { fh, isDirectory } of open)
    kernel.release(fh, isDirectory ? 'FUSE_RELEASEDIR' : 'FUSE_RELEASE');
  results.push(held(), kernel.status('HANDLES'), kernel.tree.streams.lostByClosed);
  return results;
}

/** Returns what a client sees after a restart from a state. */
function probeNext(memory: StateMemory, open: readonly Open[]): string {
  const kernel = startNext(memory);
  try {
    return JSON.stringify(probe(kernel, open), null, 1);
  } finally {
    kernel.close();
  }
}

const step = fc.record({
  action: fc.nat(14),
  a: fc.nat(7),
  b: fc.nat(3),
  size: fc.oneof(fc.nat(40), fc.nat(8000)),
});

function assertSame(found: string, expected: string): void {
  if (found === expected) return;
  const [a, b] = [found.split('\n'), expected.split('\n')];
  const at = a.findIndex((line, n) => line !== b[n]);
  assert.unreachable(`${a.slice(Math.max(0, at - 12), at + 3).join('')} instead of ${b[at]}`);
}

const begins: readonly Step[] = [0, 1].map((b) => ({ action: 10, a: 0, b, size: 0 }));

handles('return the same as before the restart, after any history', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const world = new World();
      try {
        for (const one of [...begins, ...steps]) world.step(one);
        const found = probeNext(copyOf(world.memory), world.open);
        assertSame(found, JSON.stringify(probe(world.kernel, world.open), null, 1));
      } finally {
        world.kernel.close();
      }
    }),
    runs(60),
  );
});

handles('go on with a listing and with a header that were begun', () => {
  const { kernel, memory } = new World();
  const directory = kernel.mkdir(own(0));
  for (const seqnum of [1, 2, 3]) kernel.event(seqnum);
  const listing = kernel.opendir(directory);
  const first = kernel.readdir(listing, 0, 100);
  const publish = kernel.open(kernel.walk('publish'), O_WRONLY);
  kernel.write(publish, 'add@/b\n');
  kernel.event(4);
  kernel.tree.recorder!.commit();
  const next = startNext(copyOf(memory));
  const rest = next.readdir(listing, first[first.length - 1].off);
  assert.equal(
    [...first, ...rest].map(({ name }) => name),
    ['.', '..', '1', '2', '3'],
  );
  next.write(publish, 'SUBSYSTEM=m1\n\n');
  assert.is(next.cat(nodeOf(next, 'log/tail')), 'add@/b\nSUBSYSTEM=m1\n');
  next.close();
  kernel.close();
});

handles('have one record more for a rename, however many there are', () => {
  const { kernel, memory } = new World();
  const directories = [0, 1].map((n) => kernel.mkdir(own(n)));
  const file = kernel.create(directories[0], 'written', O_RDWR).fh;
  kernel.write(file, 'add@/x\n');
  const others = Array.from({ length: 1000 }, () =>
    kernel.open(kernel.walk(`${own(0)}/written`), O_RDONLY),
  );
  kernel.tree.recorder!.commit();
  const { journal } = kernel.tree.recorder!;
  const before = journal.length;
  kernel.rename(directories[0], 'written', directories[1], 'moved');
  kernel.tree.recorder!.commit();
  assert.ok(journal.length - before < 1000, `${journal.length - before} words were written`);
  // The file of each open file that is left is in the second directory, and ends with it
  for (const fh of [others.pop()!, others.shift()!]) kernel.release(fh);
  kernel.unlink(directories[1], 'moved');
  kernel.rmdir(own(0));
  kernel.tree.recorder!.commit();
  const next = startNext(copyOf(memory));
  for (const fh of [file, ...others]) assert.is(next.read(fh), 'add@/x\n');
  next.rmdir(own(1));
  assert.throws(() => next.read(others[0]), /ESTALE/);
  next.close();
  kernel.close();
});

handles('are those before or after a request, wherever the daemon is killed', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 15 }), step, (steps, last) => {
      const world = new World();
      try {
        for (const one of [...begins, ...steps]) world.step(one);
        const opened = [...world.open].map((file) => ({ ...file }));
        const states = [copyOf(world.memory)];
        const { journal } = world.kernel.tree.recorder!;
        journal.onStore = () => states.push(copyOf(world.memory));
        world.step(last);
        journal.onStore = null;
        const after = copyOf(world.memory);
        const before = probeNext(states[0], opened);
        const ends = probeNext(after, opened);
        let isAfter = false;
        for (const state of states.slice(1, 30)) {
          const found = probeNext(state, opened);
          if (found !== before) isAfter = true;
          assertSame(found, isAfter ? ends : before);
        }
      } finally {
        world.kernel.close();
      }
    }),
    runs(30),
  );
});

handles.run();
