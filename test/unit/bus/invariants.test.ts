/**
 * The invariants of the log, of a cursor and of a queue: a broken one is found by the next
 * operation.
 */
import * as assert from 'uvu/assert';
import { Event, NOT_LOGGED } from '../../../fs/bus/event.js';
import { now } from '../../../fs/shared/timestamp.js';
import { Log } from '../../../fs/bus/log.js';
import { type Entry, Queue } from '../../../fs/bus/queue.js';
import { Cursor } from '../../../fs/bus/readers/cursor.js';
import { FilterGroup } from '../../../fs/bus/readers/filter-group.js';
import { InvariantError } from '../../../fs/shared/invariant.js';
import { Filter } from '../../../fs/uevent/filter/filter.js';
import { suite } from '../../support/runner/suite.js';
import { Room, bytes } from './reading.js';

const invariants = suite('an invariant');

const TEXT = bytes('add@/x\n');

function append(log: Log): Event {
  return log.append('1', 1, TEXT, TEXT.length, now());
}

function breaks(operation: () => void, message: RegExp): void {
  assert.throws(
    operation,
    (error: unknown) => error instanceof InvariantError && message.test(error.message),
  );
}

invariants('of the log finds an event that has lost its place in the ring', () => {
  const log = new Log({ bytes: 1024, events: 8 });
  const first = append(log);
  append(log);
  first.inRing = false;
  breaks(() => append(log), /^event 0 has left the ring, and the log has it still$/);
});

invariants('of a cursor finds events that its group has not seen', () => {
  for (const filter of ['', 'A==b']) {
    const log = new Log({ bytes: 1024, events: 8 });
    const group = new FilterGroup(log, Filter.parse(filter));
    const cursor = new Cursor(group);
    append(log);
    group.matched += filter === '' ? 0 : 1;
    breaks(() => cursor.read(new Room(100)), /^of \d events a cursor has passed 0, /);
  }
});

invariants('of a queue finds a sum and a count that its entries do not have', () => {
  const wrongs: [(queue: Queue<Entry>) => void, RegExp][] = [
    [(queue) => queue.bytes++, /^a queue counts 1 bytes that no entry has$/],
    [(queue) => queue.heap--, /^a queue counts -1 bytes of heap that no entry has$/],
    [(queue) => queue.incomplete++, /^a queue counts 1 incomplete events that no entry has$/],
    [(queue) => queue.losses.untold++, /^a queue has lost 0 events, and 1 of them are untold$/],
  ];
  for (const [breakIt, message] of wrongs) {
    const queue = new Queue<Entry>({ events: 8, bytes: 1024 });
    const event = (name: string): Event =>
      new Event(name, 1, NOT_LOGGED, TEXT, 0, TEXT.length - 1, now());
    queue.add(event('1'));
    breakIt(queue);
    breaks(() => queue.add(event('2')), message);
  }
});

invariants.run();
