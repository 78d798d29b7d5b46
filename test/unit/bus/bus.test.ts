import * as assert from 'uvu/assert';
import { Bus, type BusListener } from '../../../fs/bus/bus.js';
import type { Event } from '../../../fs/bus/event.js';
import { Filter } from '../../../fs/uevent/filter/filter.js';
import { Cursor } from '../../../fs/bus/readers/cursor.js';
import { FilterGroup } from '../../../fs/bus/readers/filter-group.js';
import { Log } from '../../../fs/bus/log.js';
import { IdAllocator } from '../../../fs/shared/id-allocator.js';
import { UeventText } from '../../../fs/uevent/text.js';
import { suite } from '../../support/runner/suite.js';
import { Room, bytes } from './reading.js';

const bus = suite('the bus');

/** Records the events that it gets. */
class Notes implements BusListener {
  readonly taken: string[] = [];

  take(event: Event): void {
    this.taken.push(`${event.name} ${event.text.split('\n')[0]}`);
  }

  settle(): boolean {
    this.taken.push('settled');
    return false;
  }

  get names(): string[] {
    return this.taken.map((line) => line.split(' ')[0]);
  }
}

function makeBus(limits = { bytes: 4 * 1024 * 1024, events: 4096 }): { bus: Bus; notes: Notes } {
  const made = new Bus(new Log(limits), new IdAllocator(1));
  const notes = new Notes();
  made.attach(notes);
  return { bus: made, notes };
}

function textOf(data: string): UeventText {
  const text = new UeventText();
  text.readPublished(bytes(data), 0, data.length);
  return text;
}

function kernel(to: Bus, seqnum: number, more = ''): void {
  to.publishKernel(textOf(`add@/kernel\nSEQNUM=${seqnum}\n${more}`));
}

function program(to: Bus, more = ''): void {
  to.publish(textOf(`add@/program\n${more}`), 1000);
}

bus('names a kernel event by its SEQNUM', () => {
  const { bus: own, notes } = makeBus();
  kernel(own, 1041);
  kernel(own, 1042);
  assert.equal(notes.names, ['1041', '1042']);
  assert.is(own.lastSeqnum, 1042);
  assert.equal(own.counted, { kernel: 2, udev: 0, published: 0, cut: 0 });
});

bus('names a published event <last kernel seqnum>.<its place in the log>', () => {
  const { bus: own, notes } = makeBus();
  program(own);
  kernel(own, 7);
  program(own);
  program(own);
  kernel(own, 8);
  program(own);
  assert.equal(notes.names, ['0.1', '7', '7.3', '7.4', '8', '8.6']);
  assert.equal(own.counted, { kernel: 2, udev: 0, published: 4, cut: 0 });
});

bus('keeps the highest SEQNUM if two CPUs send in another order than they count', () => {
  const { bus: own, notes } = makeBus();
  kernel(own, 9);
  program(own);
  kernel(own, 8);
  program(own);
  assert.is(own.lastSeqnum, 9);
  assert.equal(notes.names, ['9', '9.2', '8', '9.4']);
});

bus("keeps the SEQNUM of a published event, and does not take it for the kernel's", () => {
  const { bus: own, notes } = makeBus();
  kernel(own, 5);
  program(own, 'SEQNUM=900\n');
  program(own);
  assert.equal(notes.names, ['5', '900', '5.3']);
  assert.is(own.lastSeqnum, 5);
});

bus('uses no name twice', () => {
  const { bus: own, notes } = makeBus();
  program(own, 'SEQNUM=5\n');
  kernel(own, 5);
  program(own);
  program(own, 'SEQNUM=5\n');
  kernel(own, 5);
  assert.is(new Set(notes.names).size, 5);
  assert.ok(
    notes.names.every((name) => /^5(\.\d+)*$/.test(name)),
    notes.names.join(' '),
  );
});

bus('names a kernel event without SEQNUM too', () => {
  const { bus: own, notes } = makeBus();
  kernel(own, 3);
  own.publishKernel(textOf('add@/kernel\n'));
  assert.equal(notes.names, ['3', '3.2']);
});

bus('assigns an inode number of its own to each event', () => {
  const { bus: own } = makeBus();
  for (let n = 1; n <= 10; n++) kernel(own, n);
  const inodes = [...own.history.entries].map(({ event }) => event.ino);
  assert.is(new Set(inodes).size, 10);
  assert.ok(inodes.every((ino) => ino > 1));
});

bus('keeps the last 1,024 events', () => {
  const { bus: own } = makeBus();
  for (let n = 1; n <= 1030; n++) kernel(own, n);
  assert.is(own.history.entries.size, 1024);
  assert.is(own.history.entries.first()?.name, '7');
  assert.is(own.history.entries.last()?.name, '1030');
});

bus('keeps the last 1 MiB of events', () => {
  const { bus: own } = makeBus();
  const kilobytes = (count: number) =>
    `V=${'v'.repeat(count * 1024 - 'add@/kernel\nSEQNUM=100\nV=\n'.length)}\n`;
  for (let n = 100; n < 200; n++) kernel(own, n, kilobytes(32));
  assert.is(own.history.bytes, 1024 * 1024);
  assert.is(own.history.entries.size, 32);
  assert.is(own.history.entries.first()?.name, '168');
});

bus('keeps the bytes of its history when the ring is smaller', () => {
  const { bus: own } = makeBus({ bytes: 256, events: 8 });
  for (let n = 1; n <= 100; n++) kernel(own, n);
  for (const { name, event } of own.history.entries)
    assert.is(event.text, `add@/kernel\nSEQNUM=${name}\n`);
});

bus(
  'passes every event to every listener at once, and settles them when the source asks for it',
  () => {
    const { bus: own, notes } = makeBus();
    const other = new Notes();
    own.attach(other);
    kernel(own, 1);
    kernel(own, 2);
    own.settle();
    program(own);
    own.settle();
    assert.equal(notes.taken, [
      '1 add@/kernel',
      '2 add@/kernel',
      'settled',
      '2.3 add@/program',
      'settled',
    ]);
    assert.equal(other.taken, notes.taken);
  },
);

bus('settles until no listener has more to wake, or one round at a time', () => {
  const { bus: own } = makeBus();
  let left = 3;
  let rounds = 0;
  own.attach({ take: () => undefined, settle: () => (rounds++, --left > 0) });
  own.settle();
  assert.is(rounds, 3);
  left = 2;
  let asked = 0;
  own.settleBy(() => asked++);
  own.settleLater();
  assert.equal([rounds, asked], [3, 1]);
  own.settleSome();
  assert.equal([rounds, asked], [4, 2]);
  own.settleSome();
  assert.equal([rounds, asked], [5, 2]);
});

bus('passes a loss to every listener, whatever its filter', () => {
  const { bus: own, notes } = makeBus();
  const audience = new FilterGroup(own.log, Filter.parse('SUBSYSTEM==block'));
  own.attach({ take: (event) => void audience.take(event), settle: () => false });
  const cursor = new Cursor(audience);
  kernel(own, 10);
  own.publishLoss(42);
  kernel(own, 53);
  assert.equal(notes.taken, ['10 add@/kernel', '10.2 overflow@/eventfs', '53 add@/kernel']);
  assert.is(own.lost, 42);
  assert.is(own.history.entries.get('10.2')?.event.weight, 42);
  const room = new Room(1000);
  cursor.read(room);
  assert.match(room.text, /^overflow@\/eventfs\n[^]*LOST=42\n\n$/);
  assert.is(room.text.split('\n\n').length, 2);
});

bus('detaches only a listener that is attached', () => {
  const { bus: own, notes } = makeBus();
  const other = new Notes();
  own.detach(other);
  own.attach(other);
  kernel(own, 1);
  own.detach(other);
  own.detach(other);
  kernel(own, 2);
  assert.equal(notes.names, ['1', '2']);
  assert.equal(other.names, ['1']);
});

bus('knows the source of each event', () => {
  const { bus: own } = makeBus();
  kernel(own, 1);
  own.publishUdev(textOf('add@/udev\nSEQNUM=2\n'));
  program(own);
  own.publishLoss(3);
  const sources = [...own.history.entries].map(({ event }) => event.source);
  assert.equal(sources, ['kernel', 'udev', 'publish:1000', 'eventfs']);
});

bus.run();
