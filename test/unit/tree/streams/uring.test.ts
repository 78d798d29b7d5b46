/**
 * READs of io_uring as the kernel makes them. fs/tree/uring-reads.ts describes their polls and
 * reads, which were observed on Linux 6.18 (test/mounted/transport/uring.test.ts). The tests
 * imitate older kernels too.
 */
import * as assert from 'uvu/assert';
import fc from 'fast-check';
import { FUSE_POLL_SCHEDULE_NOTIFY } from '../../../../fs/fuse/abi.js';
import { PAYLOAD_BYTES } from '../../../../fs/fuse/sizes.js';
import { runs } from '../../../support/runner/budget.js';
import { Child } from '../../../support/memory/child.js';
import type { By, Pending } from '../../../support/memory/connection.js';
import { MemoryKernel, O_NONBLOCK } from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';
import { NO_BOUNDS } from '../../../../fs/tree/quota/bounds.js';

/** The events that io_uring polls for: before a read attempt, and after a short read. */
const BEFORE = 0x001;
const BEHIND = 0x04b; // POLLIN, POLLPRI, POLLERR, POLLRDNORM
/** The events of poll(2) when a program asks for POLLIN. */
const PROGRAM = 0x019;
const POLLIN = 0x001;
const TID: By = { pid: 4711 };
const OTHER: By = { pid: 4712 };
const SIZE = 4096;
const RECORD = 'add@/devices/x\nACTION=add\nSUBSYSTEM=mem\nSEQNUM=1\n\n';

const uring = suite("io_uring's READ");

function test(
  sentence: string,
  body: (kernel: MemoryKernel, own: number) => Promise<void> | void,
): void {
  uring(sentence, async () => {
    const kernel = MemoryKernel.started();
    try {
      await body(kernel, kernel.mkdir('own'));
      assert.equal(kernel.warnings, []);
    } finally {
      kernel.close();
    }
  });
}

/** One READ of io_uring, with the kernel's steps. */
class Read {
  /** The bytes so far. */
  text = '';
  /** The number of the kernel's reads. */
  reads = 0;
  /** Whether it waits for a NOTIFY_POLL. */
  isArmed = false;
  /** The result, once it is complete: a text or an errno's name. */
  error: string | null = null;
  isDone = false;

  /**
   * @param polls whether the kernel polls before a read attempt: since 6.8, and not with
   * O_NONBLOCK
   */
  constructor(
    readonly kernel: MemoryKernel,
    readonly fh: number,
    readonly size = SIZE,
    readonly by: By = TID,
    readonly offset = 0,
    readonly polls = true,
    readonly flags = 0,
  ) {}

  /** Makes a read attempt; `goOn` does the next step. */
  begin(): this {
    if (this.polls && !this.#isReady(BEFORE, 0)) return this.#again();
    const pending = this.kernel.startRead(
      this.fh,
      this.size - this.text.length,
      this.by,
      this.offset,
      this.flags,
    );
    this.reads++;
    if (pending.result === undefined) return this.#park(pending);
    return this.#got(pending.result);
  }

  /** Blocks the thread in the kernel: before Linux 6.6, and if another reader was faster. */
  pending: Pending | null = null;

  #park(pending: Pending): this {
    assert.not(this.polls, 'a read that is only tried must not wait');
    this.pending = pending;
    return this;
  }

  /** Takes the reply to a blocked read. */
  resume(): this {
    const { result } = this.pending!;
    assert.is.not(result, undefined, 'it waits still');
    this.pending = null;
    return this.#got(result!);
  }

  #got(result: string): this {
    if (result === 'EAGAIN') return this.#again();
    if (/^E[A-Z]+$/.test(result)) {
      this.error = result;
      this.isDone = true;
      return this;
    }
    this.text += result;
    if (result === '' || this.text.length === this.size) {
      this.isDone = true;
      return this;
    }
    return this.#again();
  }

  /** Polls after a short read. The callback comes at once, or when the daemon wakes it. */
  #again(): this {
    this.isArmed = !this.#isReady(BEHIND, FUSE_POLL_SCHEDULE_NOTIFY);
    return this;
  }

  #isReady(events: number, flags: number): boolean {
    return (this.kernel.poll(this.fh, this.fh, flags, events, this.by) & POLLIN) !== 0;
  }

  /** Runs the task's due work. */
  goOn(): this {
    return this.isDone || this.isArmed ? this : this.begin();
  }

  /** Takes a NOTIFY_POLL. */
  woken(): this {
    this.isArmed = false;
    return this.begin();
  }

  /** Runs the READ to its end, or until it waits. */
  run(): this {
    for (let turn = 0; !this.isDone && !this.isArmed && this.pending === null; turn++) {
      assert.ok(turn < 8, 'it goes on and on');
      this.goOn();
    }
    return this;
  }
}

for (const polls of [true, false]) {
  const since = polls ? '' : ', also before Linux 6.6';

  test(`of an event returns its text once${since}`, (kernel, own) => {
    kernel.event(1);
    const fh = kernel.open(kernel.lookup(own, '1').nodeid);
    const text = kernel.read(fh);
    for (const offset of [0, 10, text.length - 1]) {
      const read = new Read(kernel, fh, SIZE, TID, offset, polls).run();
      assert.equal([read.text, read.reads], [text.slice(offset), 2]);
    }
    for (const size of [text.length, 10]) {
      const read = new Read(kernel, fh, size, TID, 0, polls).run();
      assert.equal([read.text, read.reads], [text.slice(0, size), 1]);
    }
    assert.is(new Read(kernel, fh, SIZE, TID, text.length, polls).run().text, '');
  });

  test(`of a dot file returns its text once${since}`, (kernel, own) => {
    kernel.put(kernel.lookup(own, '.filter').nodeid, 'SUBSYSTEM==mem');
    for (const name of ['.filter', '.since', '.status']) {
      const fh = kernel.open(kernel.lookup(own, name).nodeid);
      const text = kernel.read(fh);
      assert.is(new Read(kernel, fh, SIZE, TID, 0, polls).run().text, text, name);
    }
  });

  for (const path of ['stream', 'match/SUBSYSTEM==mem', 'own/.stream']) {
    test(`of ${path.slice(0, 9)} returns the available events, and ends${since}`, (kernel) => {
      const fh = kernel.open(kernel.walk(path));
      kernel.event(1);
      assert.equal(
        [new Read(kernel, fh, SIZE, TID, 0, polls).run().text, kernel.parked.size],
        [RECORD, 0],
      );
      kernel.event(1);
      assert.is(
        new Read(kernel, fh, SIZE, TID, 77, polls).run().text,
        RECORD,
        'the offset means nothing',
      );
    });

    test(`of ${path.slice(0, 9)} returns later events, and ends${since}`, (kernel) => {
      const fh = kernel.open(kernel.walk(path));
      const read = new Read(kernel, fh, SIZE, TID, 0, polls).begin();
      assert.equal([read.isArmed, read.pending === null], [polls, polls]);
      kernel.event(1);
      if (polls) {
        assert.equal(kernel.wakeUps, [fh]);
        read.woken();
      } else read.resume();
      assert.equal([read.run().text, read.isDone], [RECORD, true]);
    });
  }
}

test('of a stream by a worker thread gets the rest without another poll', (kernel) => {
  const fh = kernel.open(kernel.walk('stream'));
  kernel.event(1);
  assert.ok(kernel.poll(fh, fh, 0, BEFORE, TID) & POLLIN);
  assert.is(kernel.startRead(fh, SIZE, TID).result, RECORD);
  assert.ok(kernel.poll(fh, fh, FUSE_POLL_SCHEDULE_NOTIFY, BEHIND, TID) & POLLIN);
  assert.is(kernel.startRead(fh, SIZE - RECORD.length, TID).result, '');
  // After an empty poll, another reader may take the next event before this read: then the worker
  // blocks.
  assert.not(kernel.poll(fh, fh, 0, BEFORE, TID) & POLLIN);
  kernel.event(1);
  assert.ok(kernel.poll(fh, fh, FUSE_POLL_SCHEDULE_NOTIFY, BEHIND, TID) & POLLIN);
  kernel.read(fh);
  assert.is(kernel.startRead(fh, SIZE, TID).result, undefined);
});

test('of many in one system call ends for each, and never blocks the thread', (kernel) => {
  const fh = kernel.open(kernel.walk('own/.stream'));
  kernel.event(1);
  const reads = Array.from({ length: 20 }, () => new Read(kernel, fh).begin());
  assert.is(kernel.parked.size, 0);
  for (const read of reads) read.run();
  assert.equal(
    reads.map(({ isDone }) => isDone),
    reads.map((_, at) => at === 0),
  );
  assert.is(reads[0].text, RECORD);
  kernel.event(1);
  for (const read of reads) if (read.isArmed) read.woken();
  for (const read of reads) read.run();
  assert.is(reads.filter(({ isDone }) => isDone).length, 2);
});

test('of one event by many at once, with several sizes, returns the text once to each', (kernel, own) => {
  kernel.event(1);
  const fh = kernel.open(kernel.lookup(own, '1').nodeid);
  const text = kernel.read(fh);
  const reads = Array.from({ length: 40 }, (_, at) =>
    new Read(kernel, fh, SIZE + (at % 2), TID, at % 3).begin(),
  );
  for (const read of reads) read.run();
  for (const [at, read] of reads.entries())
    assert.equal([read.text, read.reads], [text.slice(at % 3), 2]);
});

test('that only tries fails with EAGAIN and does not block, if another reader was faster', (kernel) => {
  const fh = kernel.open(kernel.walk('stream'));
  kernel.event(1);
  assert.ok(kernel.poll(fh, fh, 0, BEFORE, TID) & POLLIN);
  assert.is(kernel.read(fh), RECORD);
  assert.is(kernel.startRead(fh, SIZE, TID).result, 'EAGAIN');
});

test("is attempted too while the same thread's other READ of the file waits", (kernel) => {
  const fh = kernel.open(kernel.walk('stream'));
  assert.ok(new Read(kernel, fh).begin().isArmed);
  kernel.event(1);
  assert.ok(
    kernel.poll(fh, fh, FUSE_POLL_SCHEDULE_NOTIFY, BEFORE, TID) & POLLIN,
    'the kernel wants to be told for the sake of the first',
  );
  assert.is(kernel.read(fh), RECORD);
  assert.is(kernel.startRead(fh, SIZE, TID).result, 'EAGAIN');
});

test('longer than a request gets one byte less, and then the end', (kernel, own) => {
  const text = 'x'.repeat(65_536);
  kernel.make(own, 'large', text);
  const fh = kernel.open(kernel.lookup(own, 'large').nodeid);
  for (const size of [PAYLOAD_BYTES, PAYLOAD_BYTES - 16]) {
    assert.ok(kernel.poll(fh, fh, 0, BEFORE, TID) & POLLIN);
    assert.is(kernel.startRead(fh, size, TID).result, text);
    assert.ok(kernel.poll(fh, fh, FUSE_POLL_SCHEDULE_NOTIFY, BEHIND, TID) & POLLIN);
    assert.ok(kernel.poll(fh, fh, 0, BEFORE, TID) & POLLIN);
    // The buffer may have been twice as long: then the kernel asks for as much as before.
    assert.is(kernel.startRead(fh, PAYLOAD_BYTES, TID).result, '');
  }
});

test('with O_NONBLOCK waits like any other, and each of many ends', (kernel) => {
  for (const path of ['own/.stream', 'stream']) {
    const fh = kernel.open(kernel.walk(path), O_NONBLOCK);
    const begin = (): Read => new Read(kernel, fh, SIZE, TID, 0, false, O_NONBLOCK).begin();
    assert.is(begin().isArmed, true);
    kernel.event(1);
    const reads = Array.from({ length: 4 }, begin);
    for (const read of reads) read.run();
    assert.equal(
      reads.map(({ text, isDone }) => [text, isDone]),
      [
        [RECORD, true],
        ['', false],
        ['', false],
        ['', false],
      ],
    );
    // The program continues as before.
    assert.is(kernel.startRead(fh, SIZE - RECORD.length, TID, 0, O_NONBLOCK).result, 'EAGAIN');
    assert.is(kernel.startRead(fh, SIZE, TID, 0, O_NONBLOCK).result, 'EAGAIN');
  }
});

test("by threads without a number in the daemon's PID namespace is recognized by its polls", (kernel) => {
  const fh = kernel.open(kernel.walk('stream'));
  const outside = { pid: 0 };
  const [one, two] = [0, 1].map(() => new Read(kernel, fh, SIZE, outside).begin());
  assert.equal([one.isArmed, two.isArmed], [true, true]);
  kernel.event(1);
  one.woken();
  two.woken();
  assert.equal([one.run().text, one.isDone], [RECORD, true]);
  assert.equal([two.run().text, two.isArmed], ['', true]);
});

test('fails if the owner dies between its poll and its read', async (kernel) => {
  const child = new Child();
  const directory = kernel.mkdir('childs', child.by);
  kernel.event(1);
  const fh = kernel.open(kernel.lookup(directory, '1').nodeid);
  new Read(kernel, fh).begin();
  await child.die();
  assert.is(kernel.startRead(fh, SIZE, TID).result, 'ESTALE');
});

// ---- other operations are not mistaken for it

test("is not a program's own read of the rest, whatever it polls for", (kernel) => {
  const fh = kernel.open(kernel.walk('stream'));
  for (const before of [[], [PROGRAM], [PROGRAM, PROGRAM]]) {
    kernel.event(1);
    assert.is(kernel.startRead(fh, SIZE, TID).result, RECORD);
    for (const events of before) assert.not(kernel.poll(fh, fh, 0, events, TID) & POLLIN);
    const rest = kernel.startRead(fh, SIZE - RECORD.length, TID);
    assert.is(rest.result, undefined, 'it waits, and is not told of an end');
    kernel.event(1);
    assert.is(rest.result, RECORD);
  }
});

test('is not a later read by the same thread', (kernel) => {
  const fh = kernel.open(kernel.walk('stream'));
  kernel.event(1);
  const read = new Read(kernel, fh).begin(); // a rest is due
  for (const size of [SIZE - RECORD.length, SIZE]) {
    kernel.event(1);
    assert.is(kernel.startRead(fh, size, OTHER).result, RECORD, 'another thread');
  }
  // IORING_SETUP_DEFER_TASKRUN: the thread does other things first.
  assert.is(kernel.poll(fh, fh, 0, PROGRAM, TID) & POLLIN, 0);
  const own = kernel.startRead(fh, SIZE, TID);
  assert.is(own.result, undefined);
  kernel.event(1);
  assert.is(own.result, RECORD);
  assert.equal([read.run().text, read.isDone], [RECORD, true]);
});

test('is not POLL_ADD with POLLIN and a read(2) after it', (kernel) => {
  const fh = kernel.open(kernel.walk('stream'));
  for (let round = 0; round < 3; round++) {
    assert.not(kernel.poll(fh, fh, FUSE_POLL_SCHEDULE_NOTIFY, BEFORE, TID) & POLLIN);
    kernel.event(1);
    assert.ok(kernel.poll(fh, fh, 0, PROGRAM, TID) & POLLIN);
    assert.is(kernel.startRead(fh, SIZE, TID).result, RECORD);
    assert.not(kernel.poll(fh, fh, FUSE_POLL_SCHEDULE_NOTIFY, BEFORE, TID) & POLLIN);
    const rest = kernel.startRead(fh, SIZE - RECORD.length, TID);
    assert.is(rest.result, undefined);
    kernel.event(1);
    assert.is(rest.result, RECORD);
  }
});

test('is not POLL_ADD either if another reader was faster', (kernel) => {
  const fh = kernel.open(kernel.walk('stream'));
  kernel.event(1);
  assert.ok(kernel.poll(fh, fh, FUSE_POLL_SCHEDULE_NOTIFY, BEFORE, TID) & POLLIN);
  assert.is(kernel.read(fh), RECORD);
  assert.is(kernel.startRead(fh, SIZE, TID).result, undefined, 'read(2) waits');
});

test('that was cancelled ends no other READ of the same size but one', (kernel) => {
  const fh = kernel.open(kernel.walk('stream'));
  kernel.event(1);
  new Read(kernel, fh).begin();
  // Its remains neither block another READ nor make it repeat.
  const next = new Read(kernel, fh).run();
  assert.equal([next.text, next.isArmed], ['', true]);
  kernel.event(1);
  assert.equal([next.woken().run().text, next.isDone], [RECORD, true]);
});

test('that was cancelled causes no end of file for a program that reads as much as its rest', (kernel) => {
  const fh = kernel.open(kernel.walk('stream'));
  kernel.event(1);
  new Read(kernel, fh).begin();
  assert.ok(new Read(kernel, fh).run().isArmed);
  const own = kernel.startRead(fh, SIZE - RECORD.length, TID);
  assert.is(own.result, undefined);
  kernel.event(1);
  assert.is(own.result, RECORD);
});

test('by any threads, with any sizes and at any moments returns records or waits, and returns nothing twice', () => {
  const recordsIn = (text: string): number => {
    assert.is(text, RECORD.repeat(text.length / RECORD.length));
    return text.length / RECORD.length;
  };
  const step = fc.record({
    what: fc.constantFrom('event', 'begin', 'goOn', 'program'),
    thread: fc.integer({ min: 0, max: 2 }),
    size: fc.integer({ min: 100, max: 103 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, shared) => {
      const kernel = MemoryKernel.started();
      const fhs = [0, 1, 2].map((at) =>
        shared && at > 0 ? -1 : kernel.open(kernel.walk('stream')),
      );
      const fhOf = (thread: number): number => (shared ? fhs[0] : fhs[thread]);
      const reads: Read[] = [];
      let [events, got] = [0, 0];
      for (const { what, thread, size } of steps) {
        const fh = fhOf(thread);
        if (what === 'event') {
          kernel.event(1);
          events++;
          for (const read of reads) if (read.isArmed) read.woken();
        } else if (what === 'begin')
          reads.push(new Read(kernel, fh, size, { pid: 100 + thread }).begin());
        else if (what === 'goOn')
          for (const read of reads) if (read.by.pid === 100 + thread) read.goOn();
        if (what === 'program') {
          const { result } = kernel.startRead(fh, size, { pid: 100 + thread }, 0, O_NONBLOCK);
          if (result !== 'EAGAIN') got += recordsIn(result!);
        }
      }
      for (const read of reads) read.run();
      for (const { text, isDone, isArmed, error } of reads) {
        assert.is(error, null);
        assert.equal([isDone, isArmed], text === '' ? [false, true] : [true, false]);
        got += recordsIn(text);
      }
      if (shared) assert.ok(got <= events, `${got} of ${events}`);
      kernel.close();
    }),
    runs(300),
  );
});

// ---- its cost

test('is charged to the opener for each thread that reads, and refunded', (kernel) => {
  const { mount } = kernel.tree.ledger;
  const before = mount.memory;
  const fh = kernel.open(kernel.walk('stream'));
  const opened = mount.memory;
  for (let pid = 1; pid <= 100; pid++) new Read(kernel, fh, SIZE, { pid }).begin();
  const most = mount.memory - opened;
  assert.ok(most > 0 && most < 32_768, `${most} bytes`);
  new Read(kernel, fh, SIZE, { pid: 101 }).begin();
  assert.is(mount.memory - opened, most);
  kernel.release(fh);
  assert.is(mount.memory, before);
});

test('works without its memory quota as an ordinary read', (kernel, own) => {
  kernel.event(1);
  const fh = kernel.open(kernel.lookup(own, '1').nodeid);
  const { memory } = kernel.tree.ledger.mount;
  const unbounded = { others: NO_BOUNDS, of: new Map() };
  kernel.tree.ledger.setQuotas({ mount: { ...NO_BOUNDS, memory }, uid: unbounded, gid: unbounded });
  const text = kernel.read(fh);
  const read = new Read(kernel, fh).begin();
  assert.is(read.goOn().text, text + text);
});

uring.run();
