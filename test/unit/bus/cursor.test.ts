import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { Cursor } from '../../../fs/bus/readers/cursor.js';
import { FilterGroup } from '../../../fs/bus/readers/filter-group.js';
import { now } from '../../../fs/shared/timestamp.js';
import { Filter } from '../../../fs/uevent/filter/filter.js';
import { Log } from '../../../fs/bus/log.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';
import { Reader, Room, bytes, lostIn, overflow, records } from './reading.js';

const cursor = suite('a cursor');

const TINY = { bytes: 256, events: 8 };
const FILTERS = ['', 'K==1', 'K==2', 'K==nothing'];

interface Logged {
  readonly number: number;
  readonly record: string;
  readonly kind: number;
  readonly always: boolean;
  /** The number of events that are lost with it. */
  readonly weight: number;
}

/** Returns the number of lost events that an overflow record in the log states. */
const LOST_BEFORE = 7;

function weigh(events: readonly Logged[]): number {
  return events.reduce((sum, { weight }) => sum + weight, 0);
}

/** One stream: the real cursor, and the list of the records that it must return. */
class Stream {
  readonly cursor: Cursor;
  /** The events for it that it has neither returned nor reported as lost. */
  waiting: Logged[] = [];
  /** All events for it so far. */
  readonly all: Logged[] = [];
  readonly reader = new Reader();
  output = '';
  told = 0;

  constructor(
    readonly audience: FilterGroup,
    readonly kind: number,
  ) {
    this.cursor = new Cursor(audience);
  }

  come(event: Logged): void {
    if (this.kind !== 0 && this.kind !== event.kind && !event.always) return;
    this.waiting.push(event);
    this.all.push(event);
  }

  /** Returns the events that the ring has overwritten. */
  missing(oldest: number): readonly Logged[] {
    return this.waiting.filter(({ number }) => number < oldest);
  }

  compare(): void {
    const missing = this.missing(this.audience.log.oldest);
    assert.is(this.cursor.lost, this.told + weigh(missing));
    assert.is(this.cursor.pending, this.waiting.length - missing.length);
  }

  read(size: number): void {
    const ready = this.reader.rest !== '' || this.waiting.length > 0;
    assert.is(this.cursor.ready, ready);
    const room = new Room(size);
    this.cursor.read(room);
    assert.is(room.text !== '', ready);
    this.took(size, room.text);
  }

  /** Checks the bytes of a read of `size` bytes. */
  took(size: number, text: string): void {
    this.output += text;
    const { oldest } = this.audience.log;
    this.reader.check(size, text, () => {
      const missing = this.missing(oldest);
      if (missing.length > 0) {
        const take = () => {
          this.waiting.splice(0, missing.length);
          this.told += weigh(missing);
        };
        return { record: overflow(weigh(missing)), take };
      }
      const [event] = this.waiting;
      return event && { record: event.record, take: () => this.waiting.shift() };
    });
  }

  /**
   * Checks all output at once: each event in order, and the exact number of missing events at their
   * place.
   */
  account(): void {
    let at = 0;
    for (const record of records(this.output)) {
      const event = this.all[at];
      const lost = event?.record === record ? null : lostIn(record);
      if (lost === null) {
        assert.is(record, event?.record);
        at++;
      } else {
        const first = at;
        while (at < this.all.length && weigh(this.all.slice(first, at)) < lost) at++;
        assert.is(weigh(this.all.slice(first, at)), lost);
      }
    }
    assert.is(at, this.all.length);
  }
}

class World {
  readonly log = new Log(TINY);
  readonly audiences = FILTERS.map((text) => new FilterGroup(this.log, Filter.parse(text)));
  readonly streams: Stream[] = [];

  append(kind: number, size: number, always: boolean): void {
    const number = this.log.next;
    const text = `a@/${number}\nK=${kind}\n${size > 0 ? `V=${'v'.repeat(size)}\n` : ''}`;
    const weight = always ? LOST_BEFORE : 1;
    const event = this.log.append(
      String(number),
      number + 2,
      bytes(text),
      text.length,
      now(),
      weight,
    );
    event.always = always;
    for (const audience of this.audiences) audience.take(event);
    event.dropCaches();
    for (const stream of this.streams)
      stream.come({ number, record: `${text}\n`, kind, always, weight });
  }

  open(kind: number): void {
    this.streams.push(new Stream(this.audiences[kind], kind));
  }

  pick(which: number): Stream {
    return this.streams[which % this.streams.length];
  }
}

const size = fc.oneof(fc.nat(30), fc.nat(100), fc.nat(200));
const room = fc.oneof(
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 40 }) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 600 }) },
);

type Step =
  | { do: 'append'; kind: number; size: number; always: boolean }
  | { do: 'open'; kind: number }
  | { do: 'read' | 'readTogether'; which: number; room: number }
  | { do: 'look'; which: number };

const steps = fc.array(
  fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({
        do: fc.constant('append' as const),
        kind: fc.constantFrom(1, 2, 4),
        size,
        always: fc.nat(15).map((dice) => dice === 0),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('open' as const), kind: fc.nat(FILTERS.length - 1) }),
    },
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constantFrom('read' as const, 'readTogether' as const),
        which: fc.nat(99),
        room,
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('look' as const), which: fc.nat(99) }) },
  ),
  { maxLength: 100, size: 'max' },
);

function perform(step: Step, world: World): void {
  if (step.do === 'append') return world.append(step.kind, step.size, step.always);
  if (step.do === 'open') return world.open(step.kind);
  const stream = world.pick(step.which);
  if (step.do === 'look') void stream.cursor.ready;
  else if (step.do === 'read') stream.read(step.room);
  else readTogether(world, stream, step.room);
}

/** Streams at the same place share one read (tree/streams/streams.ts). */
function readTogether(world: World, leader: Stream, bytesOfRoom: number): void {
  const { place, toldLost } = leader.cursor;
  const led = world.streams.filter(
    (other) =>
      other !== leader && other.audience === leader.audience && other.cursor.place === place,
  );
  const from = leader.output.length;
  leader.read(bytesOfRoom);
  if (place < 0) return;
  for (const other of led) {
    other.cursor.follow(leader.cursor, leader.cursor.toldLost - toldLost);
    other.took(bytesOfRoom, leader.output.slice(from));
  }
}

cursor(
  'returns every event for it, in order, and the exact number of missing events at their place',
  () => {
    const property = fc.property(steps, room, (all, last) => {
      const world = new World();
      world.open(0);
      for (const step of all) {
        perform(step, world);
        for (const stream of world.streams) stream.compare();
      }
      for (const stream of world.streams) {
        for (let reads = 0; stream.cursor.ready; reads++) {
          assert.ok(reads < 5000, 'it is ready for ever');
          stream.read(last);
        }
        stream.account();
        stream.compare();
        assert.is(stream.cursor.pending, 0);
      }
    });
    fc.assert(property, runs(2500));
  },
);

cursor('begins behind the newest event', () => {
  const world = new World();
  world.append(1, 0, false);
  world.open(0);
  world.open(1);
  for (const stream of world.streams) assert.not(stream.cursor.ready);
  world.append(1, 0, false);
  for (const stream of world.streams) {
    stream.read(100);
    assert.is(stream.output, 'a@/1\nK=1\n\n');
  }
});

cursor('loses nothing to events that its filter rejects', () => {
  const world = new World();
  world.open(2);
  for (let n = 0; n < 100; n++) world.append(1, 10, false);
  const [stream] = world.streams;
  assert.is(stream.cursor.lost, 0);
  world.append(2, 0, false);
  stream.read(100);
  assert.is(stream.output, 'a@/100\nK=2\n\n');
});

cursor('with a filter counts as lost only events that match it', () => {
  const world = new World();
  world.open(2);
  for (let n = 0; n < 30; n++) world.append(n % 3 === 0 ? 2 : 1, 10, false);
  const [stream] = world.streams;
  const { lost, pending } = stream.cursor;
  assert.is(lost + pending, 10);
  assert.ok(lost > 0 && pending > 0);
  stream.read(10_000);
  assert.ok(stream.output.startsWith(overflow(lost)));
  assert.is(records(stream.output).length, 1 + pending);
  assert.is(stream.cursor.lost, lost);
});

cursor('returns the same to reads of one byte as to any other', () => {
  const world = new World();
  world.open(0);
  for (let n = 0; n < 30; n++) world.append(1, n, false);
  const [stream] = world.streams;
  while (stream.cursor.ready) stream.read(1);
  stream.account();
});

cursor(
  'returns the second half of a record whose first half was read, though the ring has moved on',
  () => {
    const world = new World();
    world.open(0);
    world.append(1, 100, false);
    const [stream] = world.streams;
    stream.read(20);
    for (let n = 0; n < 20; n++) world.append(1, 40, false);
    stream.read(10_000);
    stream.account();
    assert.match(stream.output, /^a@\/0\nK=1\nV=v{100}\n\noverflow@/);
  },
);

cursor('costs one match an event, for any number of streams with the filter and any lag', () => {
  let matches = 0;
  const counting = {
    all: false,
    text: 'counting',
    matches: () => matches++ % 3 === 0,
  } as unknown as Filter;
  const ring = new Log(TINY);
  const audience = new FilterGroup(ring, counting);
  const cursors: Cursor[] = [];
  for (let number = 0; number < 90; number++) {
    cursors.push(new Cursor(audience));
    audience.take(ring.append(String(number), number + 2, bytes('a@/x\n'), 5, now()));
  }
  for (const one of cursors) {
    assert.is(one.lost + one.pending, audience.matched - Math.ceil(cursors.indexOf(one) / 3));
    if (one.ready) one.read(new Room(1000));
  }
  assert.is(matches, 90);
});

cursor.run();
