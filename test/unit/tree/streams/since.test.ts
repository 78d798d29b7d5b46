/** `.since` on the tree in memory: the events that a write adds to a queue. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import type { LogIndex } from '../../../../fs/bus/event.js';
import type { SeqNum } from '../../../../fs/uevent/text.js';
import { runs } from '../../../support/runner/budget.js';
import { refusal } from '../../../support/memory/connection.js';
import { MemoryKernel, O_NONBLOCK, O_RDONLY, O_WRONLY } from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';
import type { ProcessDirectory } from '../../../../fs/tree/nodes/process-directory.js';
import { lostIn, records } from '../../bus/reading.js';

const since = suite('.since');

function withKernel(
  sentence: string,
  body: (kernel: MemoryKernel) => void,
  history = { events: 1024, bytes: 1024 * 1024 },
): void {
  since(sentence, () => {
    const kernel = MemoryKernel.started({ history });
    try {
      body(kernel);
      assert.equal(kernel.warnings, []);
    } finally {
      kernel.close();
    }
  });
}

function write(kernel: MemoryKernel, file: string, text: string): void {
  const fh = kernel.open(kernel.walk(file), O_WRONLY);
  try {
    kernel.write(fh, text);
  } finally {
    kernel.release(fh);
  }
}

/** Reads `.stream` to its end. */
function take(kernel: MemoryKernel, directory: string): string[] {
  const fh = kernel.open(kernel.walk(`${directory}/.stream`), O_RDONLY | O_NONBLOCK);
  let output = '';
  try {
    for (;;) output += kernel.read(fh, 1024 * 1024, 0, O_NONBLOCK);
  } catch {
    kernel.release(fh); // EAGAIN: that was all
  }
  return records(output);
}

function seqnums(from: readonly string[]): string[] {
  return from.map(
    (record) =>
      /^SEQNUM=(.*)$/m.exec(record)?.[1] ?? /^LOST=(.*)$/m.exec(record)![1].replace(/^/, '-'),
  );
}

withKernel('adds the kept events after a SEQNUM, before those since the mkdir', (kernel) => {
  for (let seqnum = 11; seqnum <= 15; seqnum++) kernel.event(seqnum);
  kernel.mkdir('late');
  assert.is(kernel.cat(kernel.walk('late/.since')), '15\n');
  kernel.event(16);
  write(kernel, 'late/.since', '12\n');
  kernel.event(17);
  assert.equal(kernel.names(kernel.walk('late')), ['13', '14', '15', '16', '17']);
  assert.is(kernel.cat(kernel.walk('late/.since')), '12\n');
  assert.equal(seqnums(take(kernel, 'late')), ['13', '14', '15', '16', '17']);
});

withKernel('adds no event twice, however often it is written', (kernel) => {
  for (let seqnum = 11; seqnum <= 15; seqnum++) kernel.event(seqnum);
  kernel.mkdir('late');
  for (const seqnum of [13, 13, 14, 99, 11, 12]) write(kernel, 'late/.since', String(seqnum));
  assert.equal(kernel.names(kernel.walk('late')), ['12', '13', '14', '15']);
});

withKernel(
  'continues after an unused number with the next event, and with the loss before that',
  (kernel) => {
    kernel.bus.beginAfter(10 as SeqNum);
    kernel.event(11);
    kernel.event(14);
    const bring = (directory: string, seqnum: number): string[] => {
      kernel.mkdir(directory);
      write(kernel, `${directory}/.since`, String(seqnum));
      return seqnums(take(kernel, directory));
    };
    for (const seqnum of [11, 12, 13])
      assert.equal(bring(`newest${seqnum}`, seqnum), ['14'], String(seqnum));
    assert.equal(bring('newest14', 14), []);
    kernel.event(15);
    for (const seqnum of [11, 12, 13])
      assert.equal(bring(`later${seqnum}`, seqnum), ['14', '15'], String(seqnum));
    kernel.bus.publishLoss(3);
    kernel.event(19);
    for (const seqnum of [15, 16, 17, 18])
      assert.equal(bring(`lost${seqnum}`, seqnum), ['-3', '19'], String(seqnum));
    assert.equal(bring('lost19', 19), []);
  },
);

withKernel(
  'begins with a record of the dropped events',
  (kernel) => {
    for (let seqnum = 11; seqnum <= 20; seqnum++) kernel.event(seqnum);
    kernel.mkdir('late');
    write(kernel, 'late/.since', '12');
    assert.match(kernel.cat(kernel.walk('late/.status')), /^LOST=5$/m);
    assert.equal(seqnums(take(kernel, 'late')), ['-5', '18', '19', '20']);
    write(kernel, 'late/.since', '11');
    assert.equal(seqnums(take(kernel, 'late')), ['-1']);
  },
  { events: 3, bytes: 1024 },
);

withKernel("knows the events before the daemon's start by the kernel's count", (kernel) => {
  kernel.bus.beginAfter(100 as SeqNum);
  kernel.mkdir('early');
  write(kernel, 'early/.since', '90');
  assert.equal(seqnums(take(kernel, 'early')), ['-10']);
  kernel.event(101);
  kernel.mkdir('late');
  write(kernel, 'late/.since', '90');
  assert.equal(seqnums(take(kernel, 'late')), ['-10', '101']);
  kernel.mkdir('none');
  write(kernel, 'none/.since', '100');
  assert.equal(seqnums(take(kernel, 'none')), ['101']);
});

withKernel('adds only events that match the filter, and wakes blocked readers', (kernel) => {
  kernel.event(11, 'SUBSYSTEM=usb\n');
  kernel.event(12, 'SUBSYSTEM=net\n');
  kernel.event(13, 'SUBSYSTEM=usb\n');
  kernel.mkdir('late');
  write(kernel, 'late/.filter', 'SUBSYSTEM==usb');
  const fh = kernel.open(kernel.walk('late/.stream'));
  const read = kernel.startRead(fh);
  write(kernel, 'late/.since', '0');
  kernel.settle();
  assert.equal(seqnums(records(read.result ?? '')), ['11', '13']);
  kernel.release(fh);
});

withKernel('keeps the bounds of the queue: the oldest events are lost', (kernel) => {
  for (let seqnum = 1; seqnum <= 10; seqnum++) kernel.event(seqnum);
  kernel.mkdir('late');
  (kernel.tree.root.lookup('late') as ProcessDirectory).queue.limits = { events: 4, bytes: 1024 };
  kernel.event(11);
  write(kernel, 'late/.since', '2');
  assert.equal(seqnums(take(kernel, 'late')), ['-5', '8', '9', '10', '11']);
});

withKernel('refuses text that is no SEQNUM', (kernel) => {
  kernel.mkdir('late');
  for (const text of ['', 'x', '-1', '1.5.2', '1.', '12 13', '9'.repeat(30), '1\n2\n']) {
    if (text !== '')
      assert.is(
        refusal(() => write(kernel, 'late/.since', text)),
        'EINVAL',
        text,
      );
  }
});

withKernel('shows the same after a write of a later number, which changes nothing', (kernel) => {
  kernel.bus.beginAfter(10 as SeqNum);
  for (let seqnum = 11; seqnum <= 13; seqnum++) kernel.event(seqnum);
  kernel.mkdir('late');
  for (const later of [14, 99]) {
    write(kernel, 'late/.since', String(later));
    assert.is(kernel.cat(kernel.walk('late/.since')), '13\n');
  }
  write(kernel, 'late/.since', '11');
  write(kernel, 'late/.since', '12');
  assert.is(kernel.cat(kernel.walk('late/.since')), '11\n');
  assert.equal(kernel.names(kernel.walk('late')), ['12', '13']);
});

withKernel('adds no event that was taken already, in any way', (kernel) => {
  kernel.bus.beginAfter(10 as SeqNum);
  kernel.event(11);
  kernel.mkdir('late');
  const late = kernel.walk('late');
  kernel.event(12);
  kernel.event(13);
  kernel.event(14);
  assert.equal(seqnums(take(kernel, 'late')), ['12', '13', '14']);
  kernel.event(15);
  kernel.unlink(late, '15');
  write(kernel, 'late/.since', '10');
  assert.equal(kernel.names(late), ['11'], 'what was offered since the mkdir came again');
  kernel.unlink(late, '11');
  write(kernel, 'late/.since', '10');
  assert.equal(kernel.names(late), [], 'what an earlier .since has brought came again');
});

withKernel(
  "leaves an event in place that a user has linked, and adds one whose name a user's file has",
  (kernel) => {
    kernel.bus.beginAfter(10 as SeqNum);
    for (let seqnum = 11; seqnum <= 13; seqnum++) kernel.event(seqnum);
    kernel.mkdir('late');
    const late = kernel.walk('late');
    kernel.link(kernel.walk('log/12'), late, '12');
    kernel.make(late, '13', 'mine\n');
    write(kernel, 'late/.since', '10');
    const names = kernel.names(late);
    assert.is(names.length, 4, names.join());
    const texts = names.map((name) => kernel.cat(kernel.lookup(late, name).nodeid));
    assert.equal(
      texts.map((text) => /^SEQNUM=(.*)$/m.exec(text)?.[1] ?? text),
      ['11', '13', '12', 'mine\n'],
    );
  },
);

withKernel(
  'reports a loss in a record that need not fit the read, whole or in pieces, and never within an event',
  (kernel) => {
    for (let seqnum = 11; seqnum <= 20; seqnum++) kernel.event(seqnum);
    kernel.mkdir('late');
    write(kernel, 'late/.since', '12');
    const fh = kernel.open(kernel.walk('late/.stream'), O_RDONLY | O_NONBLOCK);
    let output = '';
    for (let reads = 0; reads < 100 && !output.endsWith('SEQNUM=20\n\n'); reads++)
      output += kernel.read(fh, 7, 0, O_NONBLOCK);
    assert.equal(seqnums(records(output)), ['-5', '18', '19', '20']);
    kernel.release(fh);
    kernel.mkdir('full');
    (kernel.tree.root.lookup('full') as ProcessDirectory).queue.limits = {
      events: 1,
      bytes: 1024,
      overflow: 'drop-newest',
    };
    kernel.event(21);
    kernel.event(22);
    const full = kernel.open(kernel.walk('full/.stream'), O_RDONLY | O_NONBLOCK);
    const first = `${kernel.cat(kernel.walk('full/21'))}\n`;
    assert.is(
      kernel.read(full, first.length + 5, 0, O_NONBLOCK),
      first,
      'the record of the loss was cut',
    );
    assert.match(kernel.read(full, 4096, 0, O_NONBLOCK), /^overflow@[^]*\nLOST=1\n\n$/);
    kernel.release(full);
  },
  { events: 3, bytes: 1024 },
);

withKernel('announces the added events to inotify, and no others', (kernel) => {
  for (let seqnum = 11; seqnum <= 13; seqnum++) kernel.event(seqnum);
  kernel.mkdir('late');
  const late = kernel.walk('late');
  kernel.tree.inotify.attach(() => undefined); // there is a notifier
  kernel.getattr(late); // as inotify_add_watch(2) does
  kernel.event(14);
  assert.match(kernel.tree.inotify.nextBatch()!.toString('latin1'), '\0N14\0');
  kernel.tree.inotify.batchDone([]);
  write(kernel, 'late/.since', '11');
  const told: string[] = [];
  for (
    let batch = kernel.tree.inotify.nextBatch();
    batch !== null;
    batch = kernel.tree.inotify.nextBatch()
  ) {
    told.push(
      ...batch
        .toString('latin1')
        .split('\0')
        .filter((part) => part.startsWith('N')),
    );
    kernel.tree.inotify.batchDone([]);
  }
  assert.equal(told, ['N12', 'N13']);
});

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kernel: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 2, arbitrary: fc.constant({ program: true } as const) },
  { weight: 1, arbitrary: fc.record({ lose: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 2, arbitrary: fc.record({ mkdir: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ write: fc.nat(3), back: fc.nat(12) }) },
);

/** One event in the model. */
interface Come {
  /** The kernel's last SEQNUM before it. */
  readonly after: number;
  /** Its own SEQNUM, if the kernel sent it. */
  readonly seqnum: number;
  readonly isLoss: boolean;
  readonly weight: number;
  readonly record: string;
}

/**
 * Checks that `output` is exactly the events of `all`, in order, with the number of missing events
 * at their places.
 */
function account(output: readonly string[], all: readonly Come[]): void {
  let at = 0;
  for (const record of output) {
    if (all[at]?.record === record) {
      at++;
      continue;
    }
    let lost = lostIn(record) ?? assert.unreachable(`${record} is not ${all[at]?.record}`);
    while (typeof lost === 'number' && lost > 0)
      lost -= all[at++]?.weight ?? assert.unreachable('more is lost than there was');
    assert.is(lost, 0);
  }
  assert.is(at, all.length);
}

since('leaves no gap and adds no event twice after any history', () => {
  const property = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const kernel = MemoryKernel.started({ history: { events: 6, bytes: 4096 } });
    try {
      const all: Come[] = [];
      const begins = new Map<string, { at: number; after: number }>();
      const come = (weight: number, publish: () => void, isLoss = false): void => {
        const after = kernel.bus.lastSeqnum;
        publish();
        const { log, lastSeqnum } = kernel.bus;
        all.push({
          after,
          seqnum: lastSeqnum > after ? lastSeqnum : NaN,
          isLoss,
          weight,
          record: `${log.at((log.next - 1) as LogIndex).text}\n`,
        });
      };
      for (const one of steps) {
        if ('kernel' in one) come(1, () => kernel.event(kernel.bus.lastSeqnum + one.kernel));
        else if ('program' in one)
          come(1, () => write(kernel, 'publish', 'change@/mine\nACTION=change\n'));
        else if ('lose' in one) come(one.lose, () => kernel.bus.publishLoss(one.lose), true);
        else if ('mkdir' in one && !begins.has(`d${one.mkdir}`)) {
          kernel.mkdir(`d${one.mkdir}`);
          begins.set(`d${one.mkdir}`, { at: all.length, after: kernel.bus.lastSeqnum });
        } else if ('write' in one && begins.has(`d${one.write}`)) {
          const seqnum = Math.max(0, kernel.bus.lastSeqnum - one.back);
          write(kernel, `d${one.write}/.since`, String(seqnum));
          const begin = begins.get(`d${one.write}`)!;
          if (seqnum <= begin.after) {
            // The first event behind this one; if it never came, the kernel's first event that is
            // later.
            let at = all.findIndex((each) => each.after >= seqnum || each.seqnum > seqnum);
            if (at >= 0 && all[at].after < seqnum) while (at > 0 && all[at - 1].isLoss) at--;
            begins.set(`d${one.write}`, {
              at: Math.min(begin.at, at < 0 ? all.length : at),
              after: seqnum,
            });
          }
        }
      }
      for (const [name, { at }] of begins) account(take(kernel, name), all.slice(at));
    } finally {
      kernel.close();
    }
  });
  fc.assert(property, runs(500));
});

since.run();
