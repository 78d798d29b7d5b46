/**
 * A state that is damaged: each bit of a small one is flipped, it is truncated, or it is something
 * else. The daemon refuses it with one line, or reads it right.
 */
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { UserError } from '../../../fs/shared/errors.js';
import { Journal } from '../../../fs/state/journal.js';
import { StateLayout, type StateMemory, heapMemory } from '../../../fs/state/layout.js';
import { Recorder } from '../../../fs/state/recorder.js';
import { Kind } from '../../../fs/state/schema.js';
import { StateTable } from '../../../fs/state/table.js';
import { restoreTree } from '../../../fs/tree/restore/restore.js';
import { MemoryKernel } from '../../support/memory/kernel.js';
import { runs } from '../../support/runner/budget.js';
import { figure } from '../../support/runner/output.js';
import { suite } from '../../support/runner/suite.js';

/** The ring is a little larger than the reserve that a log keeps free. */
const SIZES = { ring: 1024 * 1024, mailbox: 4096, half: 2 * 1024 * 1024 };
const LOG = { bytes: SIZES.ring, events: 64 };
/** Restoring a tree takes a millisecond, so only each 32nd of the bits that need it is flipped. */
const USUAL = 32;
const EVERY = Math.ceil(USUAL / Number(process.env.EVENTFS_TEST_RUNS ?? 1));

const damaged = suite('a damaged state');

const start = (journal: Journal): MemoryKernel =>
  MemoryKernel.started({ log: LOG, recorder: new Recorder(journal) });

/** Makes a state with a directory, events of all kinds, a link, a filter and special files. */
function smallState(): StateMemory {
  const memory = heapMemory(StateLayout.bytes(SIZES));
  const kernel = start(Journal.create(memory, SIZES));
  const directory = kernel.mkdir(`${process.pid}.a`);
  const other = kernel.mkdir(`${process.pid}.b`);
  kernel.put(kernel.lookup(other, '.filter').nodeid, 'SUBSYSTEM==none');
  kernel.put(kernel.lookup(1, 'publish').nodeid, 'add@/x\nACTION=add\nDEVPATH=/x\n');
  kernel.make(directory, 'mine', 'add@/y\nACTION=add\n');
  kernel.link(kernel.lookup(directory, 'mine').nodeid, other, 'linked');
  kernel.symlink(directory, 'symlink', 'target');
  kernel.mknod(directory, 'fifo', 0o010644);
  kernel.tree.recorder!.commit();
  kernel.close();
  return memory;
}

/** Returns the names, attributes and texts of all directories. */
function seen(kernel: MemoryKernel): string {
  const list = (parent: number): unknown[] =>
    kernel.names(parent).map((name) => {
      const { nodeid, ...attributes } = kernel.lookup(parent, name);
      const type = attributes['attr.mode'] & 0o170000;
      if (type === 0o040000) return [name, attributes, list(nodeid)];
      if (type === 0o120000) return [name, attributes, kernel.readlink(nodeid)];
      return [name, attributes, type === 0o100000 && name !== 'publish' ? kernel.cat(nodeid) : ''];
    });
  const filters = [...kernel.tree.root.directories].map(({ name, filter }) => [name, filter.text]);
  return JSON.stringify([list(1), filters]);
}

/** Restores a copy of a state. @returns what clients see of it */
function restored(memory: StateMemory): string {
  const copy = heapMemory(memory.bytes.length);
  copy.bytes.set(memory.bytes);
  const layout = StateLayout.open(copy);
  const next = start(new Journal(layout));
  try {
    restoreTree(next.tree, new StateTable(layout));
    return seen(next);
  } finally {
    next.close();
  }
}

/** Returns the message of the refusal, or undefined if the state is read. */
function refusal(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    assert.instance(error, UserError, String((error as Error).stack));
    assert.match((error as Error).message, /^the state of the last daemon is refused: .+ \(.+\)$/);
    assert.not.match((error as Error).message, /\n/);
    return (error as Error).message;
  }
}

/** Returns whether the header and the journal alone show the damage; a tree is not needed. */
const isRefusedEarly = (memory: StateMemory): boolean =>
  refusal(() => new StateTable(StateLayout.open(memory))) !== undefined;

damaged('is refused or read right, whichever bit is flipped', () => {
  const memory = smallState();
  const { bytes } = memory;
  const expected = restored(memory);
  const layout = StateLayout.open(memory);
  const half = layout.halves[layout.active];
  const journalEnd = half + 8 * layout.committed(layout.active);
  assert.ok(journalEnd - half > 1000, 'the state is empty');
  // Zeros are not used, but for those of the header and the journal.
  const isUsed = (at: number): boolean =>
    at < 256 || (at >= half && at < journalEnd + 64) || bytes[at] !== 0;
  const counts = { early: 0, late: 0, right: 0 };
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0; // stacks would take most of the time
  let turn = 0;
  for (let at = 0; at < journalEnd + 64; at++) {
    if (!isUsed(at)) continue;
    for (let bit = 0; bit < 8; bit++) {
      bytes[at] ^= 1 << bit;
      if (isRefusedEarly(memory)) counts.early++;
      else if (turn++ % EVERY === 0) {
        let found = '';
        if (refusal(() => (found = restored(memory))) !== undefined) counts.late++;
        else {
          assert.is(found, expected, `byte ${at}, bit ${bit}`);
          counts.right++;
        }
      }
      bytes[at] ^= 1 << bit;
    }
  }
  Error.stackTraceLimit = stackTraceLimit;
  assert.is(restored(memory), expected);
  assert.ok(counts.early > 8 * 1000 && counts.right > 0, JSON.stringify(counts));
  // Few bits are refused late: fewer tries than usual may miss all of them.
  assert.ok(counts.late > 0 || EVERY > USUAL, JSON.stringify(counts));
  figure(JSON.stringify(counts));
});

damaged('is refused or read right, wherever it is truncated', () => {
  const memory = smallState();
  const expected = restored(memory);
  for (let length = 0; length < memory.bytes.length; length += 4096 - 8) {
    const part = heapMemory(length);
    part.bytes.set(memory.bytes.subarray(0, length));
    let found = '';
    if (refusal(() => (found = restored(part))) === undefined) assert.is(found, expected);
  }
});

damaged('is refused if it is something else', () => {
  assert.match(
    refusal(() => restored(heapMemory(0)))!,
    /it is too short/,
  );
  assert.match(
    refusal(() => restored(heapMemory(1 << 16)))!,
    /the mark of this version/,
  );
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 1 << 15 }), (some) => {
      const foreign = heapMemory(1 << 16);
      foreign.bytes.set(some);
      assert.type(
        refusal(() => restored(foreign)),
        'string',
      );
      // The mark alone makes no state.
      foreign.bytes.set(Buffer.from('eventfs1'));
      assert.type(
        refusal(() => restored(foreign)),
        'string',
      );
    }),
    runs(100),
  );
});

damaged('is refused or read right, whichever part of its journal is missing', () => {
  const memory = smallState();
  const layout = StateLayout.open(memory);
  const expected = restored(memory);
  const half = layout.halves[layout.active];
  const words = layout.committed(layout.active);
  fc.assert(
    fc.property(fc.nat(words - 1), fc.nat(64), (at, length) => {
      const copy = heapMemory(memory.bytes.length);
      copy.bytes.set(memory.bytes);
      const from = half + 8 * at;
      copy.bytes.fill(0, from, Math.min(from + 8 * length, half + 8 * words));
      let found = '';
      if (refusal(() => (found = restored(copy))) === undefined) assert.is(found, expected);
    }),
    runs(100),
  );
});

const READ_SIZES = { ring: 4096, mailbox: 4096, half: 8 * 1024 * 1024 };
const TIMES = 2000;
const DIST = new URL('../../../fs/state', import.meta.url).href;
/** Reads the state again and again, in another thread. */
const READER = `
import { workerData } from 'node:worker_threads';
const { StateLayout } = await import('${DIST}/layout.js');
const { StateTable } = await import('${DIST}/table.js');
const { memory, end } = workerData;
const bytes = new Uint8Array(memory);
const layout = StateLayout.open({ bytes, reserve: () => true, discard: () => undefined });
for (let n = 0; n < ${TIMES}; n++) new StateTable(layout);
Atomics.store(new Int32Array(end), 0, 1);
`;

damaged('is no result of a reader that is killed: it writes nothing', async () => {
  const memory = new SharedArrayBuffer(StateLayout.bytes(READ_SIZES));
  const end = new SharedArrayBuffer(4);
  const state = {
    bytes: new Uint8Array(memory),
    reserve: () => true,
    discard: () => undefined,
  };
  const journal = Journal.create(state, READ_SIZES);
  const recorder = new Recorder(journal);
  // One record, which a reader has under its eyes most of the time.
  recorder.reply(7, 0, new Uint8Array(65536).fill(7), 0, 65536, 0, 0);
  recorder.commit();
  const at = 2 * (journal.layout.halves[0] / 8);
  const words = new Int32Array(memory);
  assert.is(words[at] >>> 24, Kind.reply);
  const sum = words[at + 1];
  const url = new URL(`data:text/javascript,${encodeURIComponent(READER)}`);
  const reader = new Worker(url, { workerData: { memory, end } });
  const failed = new Promise((_, reject) => reader.once('error', reject));
  const ended = new Promise((done) => reader.once('exit', done));
  let changes = 0;
  const done = new Int32Array(end);
  const limitMs = Date.now() + 10_000;
  while (Atomics.load(done, 0) === 0 && Date.now() < limitMs) {
    for (let n = 0; n < 1000; n++) if (Atomics.load(words, at + 1) !== sum) changes++;
    await new Promise((next) => setImmediate(next));
  }
  await Promise.race([ended, failed]);
  assert.is(Atomics.load(done, 0), 1, 'the reader has read to its end');
  assert.is(changes, 0);
});

damaged.run();
