import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { Event, type Holder, NOT_LOGGED } from '../../../fs/bus/event.js';
import { now } from '../../../fs/shared/timestamp.js';
import { type Entry, type Overflow, Queue } from '../../../fs/bus/queue.js';
import { freeName } from '../../../fs/bus/queue/free-name.js';
import { QueueReader } from '../../../fs/bus/readers/queue-reader.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';
import { Reader, Room, bytes, overflow } from './reading.js';

const queue = suite('a queue');

const TINY = { events: 6, bytes: 120 };

/** An event that may still be written to. It tells its queues of each change, as a file does. */
class Written extends Event {
  #isDone = true;
  readonly #holders: Holder[] = [];

  constructor(name: string, text: string) {
    super(name, 2, NOT_LOGGED, bytes(`${text}\n`), 0, text.length, now());
  }

  get done(): boolean {
    return this.#isDone;
  }

  set done(isDone: boolean) {
    if (isDone === this.#isDone) return;
    this.#isDone = isDone;
    for (const holder of this.#holders) {
      holder.incomplete += isDone ? -1 : 1;
      if (isDone) holder.becameComplete();
    }
  }

  override get complete(): boolean {
    return this.#isDone;
  }

  override link(holder: Holder): void {
    super.link(holder);
    this.#holders.push(holder);
    if (!this.#isDone) holder.incomplete++;
  }

  override unlink(holder: Holder): void {
    if (!this.#isDone) holder.incomplete--;
    this.#holders.splice(this.#holders.indexOf(holder), 1);
    super.unlink(holder);
  }
}

type Step =
  | { do: 'add'; size: number; done: boolean; weight: number }
  | { do: 'remove' | 'finish'; which: number }
  | { do: 'grow'; which: number; size: number }
  | { do: 'read'; reader: number; room: number; most: number }
  | { do: 'clear' };

const which = fc.nat(99);
const room = fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 400 }));
const steps = fc.array(
  fc.oneof(
    {
      weight: 120,
      arbitrary: fc.record({
        do: fc.constant('add' as const),
        size: fc.oneof(fc.nat(20), fc.nat(150)),
        done: fc.nat(3).map((dice) => dice > 0),
        weight: fc.constantFrom(1, 1, 1, 7),
      }),
    },
    {
      weight: 30,
      arbitrary: fc.record({ do: fc.constantFrom('remove' as const, 'finish' as const), which }),
    },
    {
      weight: 15,
      arbitrary: fc.record({ do: fc.constant('grow' as const), which, size: fc.nat(60) }),
    },
    {
      weight: 80,
      arbitrary: fc.record({
        do: fc.constant('read' as const),
        reader: fc.nat(2),
        room,
        most: fc.constantFrom(1, 2, 3, Infinity),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const) }) },
  ),
  { maxLength: 80, size: 'max' },
);

/** An entry, or a number of missing events. */
type Item = { name: string; event: Written; text: string } | number;
type Model = Exclude<Item, number>;

/** A queue beside a list, and three readers that share it. */
class World {
  readonly real: Queue<Entry>;
  readonly readers: { real: QueueReader; model: Reader }[];
  items: Item[] = [];
  lost = 0;
  #serial = 0;

  constructor(readonly overflow: Overflow) {
    this.real = new Queue<Entry>({ ...TINY, overflow });
    this.readers = Array.from({ length: 3 }, () => ({
      real: new QueueReader(this.real),
      model: new Reader(),
    }));
  }

  get model(): Model[] {
    return this.items.filter((item) => typeof item !== 'number');
  }

  get untold(): number {
    return this.#missing(this.items);
  }

  #missing(items: readonly Item[]): number {
    return items.reduce<number>((sum, item) => sum + (typeof item === 'number' ? item : 0), 0);
  }

  get size(): number {
    return this.model.reduce((sum, { text }) => sum + text.length, 0);
  }

  perform(step: Step): void {
    switch (step.do) {
      case 'add':
        return this.add(step);
      case 'read':
        return this.read(step.reader, step.room, step.most);
      case 'clear':
        while (this.real.shift() !== undefined) continue;
        this.items = this.items.filter((item) => typeof item === 'number');
        return;
      case 'grow':
        return this.pick(step.which, (entry) => this.grow(entry, step.size));
      case 'finish':
        return this.pick(step.which, ({ event }) => (event.done = true));
      case 'remove':
        return this.pick(step.which, ({ name }) => this.remove(name));
    }
  }

  pick(which: number, then: (entry: Model) => void): void {
    if (this.model.length > 0) then(this.model[which % this.model.length]);
  }

  add({ size, done, weight }: Step & { do: 'add' }): void {
    const name = String(this.#serial++);
    const text = `a@/${name}\n${'v'.repeat(size)}\n`;
    const event = new Written(name, text);
    event.done = done;
    event.weight = weight;
    const isFull = (): boolean =>
      this.model.length === TINY.events || this.size + text.length > TINY.bytes;
    while (this.overflow === 'drop-oldest' && this.model.length > 0 && isFull()) this.drop();
    const isLost = this.overflow !== 'drop-oldest' && isFull();
    this.items.push(isLost ? weight : { name, event, text });
    if (isLost) this.lost += weight;
    assert.is(this.real.refuses(1, text.length), isLost);
    assert.is(this.real.add(event), !isLost);
  }

  /** Drops the oldest entry, and leaves its weight in its place. */
  drop(): void {
    const [{ event }] = this.model;
    this.items = this.items.map((item) =>
      typeof item !== 'number' && item.event === event ? event.weight : item,
    );
    this.lost += event.weight;
  }

  remove(name: string): void {
    assert.is(this.real.remove(name)?.name, name);
    assert.is(this.real.remove(name), undefined);
    this.items = this.items.filter((item) => typeof item === 'number' || item.name !== name);
  }

  /**
   * Appends as write(2) at the end of a file in the queue does: the queue makes room first, and may
   * drop the file itself.
   */
  grow(entry: Model, size: number): void {
    const isRefused = this.overflow !== 'drop-oldest' && size > 0 && this.size + size > TINY.bytes;
    assert.is(this.real.refuses(0, size), isRefused);
    if (isRefused) return;
    while (this.model.length > 1 && this.model.includes(entry) && this.size + size > TINY.bytes)
      this.drop();
    this.real.makeRoom(0, size, entry.event);
    if (!this.model.includes(entry)) return;
    entry.text += 'w'.repeat(size);
    entry.event.bytes = bytes(`${entry.text}\n`);
    entry.event.length = entry.text.length;
    entry.event.dropCaches();
    this.real.bytes += size;
  }

  read(number: number, size: number, most: number): void {
    const { real, model } = this.readers[number];
    const ready =
      model.rest !== '' || this.untold > 0 || this.model.some(({ event }) => event.done);
    assert.is(real.ready, ready);
    const into = new Room(size);
    real.read(into, most);
    assert.is(into.text !== '', ready);
    let taken = 0;
    model.check(size, into.text, () => {
      if (taken === most) return undefined;
      const next = this.model.find(({ event }) => event.done);
      const before =
        next === undefined ? this.items : this.items.slice(0, this.items.indexOf(next));
      const behind = this.items.slice(before.length);
      const missing = this.#missing(before);
      if (missing > 0) {
        const tell = () =>
          (this.items = [...before.filter((item) => typeof item !== 'number'), ...behind]);
        return { record: overflow(missing), take: tell };
      }
      if (next === undefined) return undefined;
      const take = () => {
        taken++;
        this.items.splice(this.items.indexOf(next), 1);
      };
      return { record: `${next.text}\n`, take };
    });
  }

  compare(): void {
    const { real, model } = this;
    assert.equal(
      [...real.entries].map(({ name }) => name),
      model.map(({ name }) => name),
    );
    assert.is(real.bytes, this.size);
    assert.is(real.lost, this.lost);
    assert.is(real.losses.untold, this.untold);
    assert.is(real.complete, model.filter(({ event }) => event.done).length);
    assert.is(real.firstComplete()?.name, model.find(({ event }) => event.done)?.name);
    assert.ok(
      real.entries.size <= TINY.events && (real.entries.size <= 1 || real.bytes <= TINY.bytes),
    );
    for (const { event } of model) assert.is(event.links, 1);
  }
}

queue(
  'drops by its policy, states each loss at its place, and returns each event to one of its readers',
  () => {
    const policies = fc.constantFrom<Overflow>('drop-oldest', 'drop-newest', 'refuse');
    const property = fc.property(policies, steps, room, (overflow, all, last) => {
      const world = new World(overflow);
      for (const step of all) {
        world.perform(step);
        world.compare();
      }
      for (const { event } of world.model) event.done = true;
      for (let turn = 0; world.readers.some(({ real }) => real.ready); turn++) {
        assert.ok(turn < 3000, 'it is ready for ever');
        if (world.readers[turn % 3].real.ready) world.read(turn % 3, last, Infinity);
        world.compare();
      }
      assert.is(world.real.bytes, 0);
      assert.is(world.real.entries.size, 0);
    });
    fc.assert(property, runs(4000));
  },
);

/** Returns a queue with complete events of these names. */
function queueOf(...names: string[]): Queue<Entry> {
  const made = new Queue<Entry>({ events: 100, bytes: 10_000 });
  for (const name of names) made.add(new Written(name, `add@/${name}\n`));
  return made;
}

function readOf(reader: QueueReader, size = 1000, most = Infinity): string {
  const into = new Room(size);
  reader.read(into, most);
  return into.text;
}

queue('accepts one event that exceeds its limits, and nothing beside it', () => {
  const made = new Queue<Entry>({ events: 4, bytes: 20 });
  made.add(new Written('small', 'a@/s\n'));
  made.add(new Written('large', `a@/${'l'.repeat(100)}\n`));
  assert.equal(
    [...made.entries].map(({ name }) => name),
    ['large'],
  );
  made.add(new Written('next', 'a@/n\n'));
  assert.equal(
    [...made.entries].map(({ name }) => name),
    ['next'],
  );
  assert.is(made.lost, 2);
  assert.is(made.bytes, 5);
});

queue('frees its events when it is cleared', () => {
  const made = new Queue<Entry>(TINY);
  const own = new Written('1', 'a@/b\n');
  made.add(own);
  assert.is(own.links, 1);
  while (made.shift() !== undefined) continue;
  assert.is(own.links, 0);
  assert.is(own.length, 0);
  assert.is(made.bytes, 0);
  assert.is(made.entries.size, 0);
});

queue('finds another name if one is taken', () => {
  const made = queueOf('7', '7.1', '7.3');
  assert.is(freeName('8', made.entries), '8');
  assert.is(freeName('7', made.entries), '7.2');
  const taken = queueOf('7', ...Array.from({ length: 99 }, (_, n) => `7.${n + 1}`));
  let tries = 0;
  taken.entries.has = (name) => {
    tries++;
    return taken.entries.get(name) !== undefined;
  };
  assert.match(freeName('7', taken.entries), /^7\.\d{6,}$/);
  assert.ok(tries < 12, `${tries} names were tried`);
});

queue('returns the rest of a cut event to the same reader, and the next event to the other', () => {
  const made = queueOf('1', '2', '3');
  const [one, other] = [new QueueReader(made), new QueueReader(made)];
  assert.is(readOf(one, 4), 'add@');
  assert.is(readOf(other, 9), 'add@/2\n\n');
  assert.is(readOf(one, 4), '/1\n\n');
  assert.is(readOf(one), 'add@/3\n\n');
  assert.not(one.ready || other.ready);
});

queue('reports a loss to one reader, before the events after it', () => {
  const made = new Queue<Entry>({ events: 2, bytes: 1000 });
  for (const name of ['1', '2', '3', '4', '5']) made.add(new Written(name, `add@/${name}\n`));
  const [one, other] = [new QueueReader(made), new QueueReader(made)];
  assert.is(readOf(one), `${overflow(3)}add@/4\n\nadd@/5\n\n`);
  assert.is(readOf(other), '');
  for (const name of ['6', '7', '8']) made.add(new Written(name, `add@/${name}\n`));
  assert.is(readOf(other, overflow(1).length), overflow(1));
  assert.is(readOf(one), 'add@/7\n\nadd@/8\n\n');
  assert.is(made.lost, 4);
  assert.is(made.losses.untold, 0);
});

queue('reports an event that found no room at the place where it is missing', () => {
  const made = new Queue<Entry>({ events: 2, bytes: 1000, overflow: 'drop-newest' });
  const reader = new QueueReader(made);
  for (const name of ['1', '2', '3', '4']) made.add(new Written(name, `add@/${name}\n`));
  assert.is(readOf(reader, 1000, 1), 'add@/1\n\n');
  for (const name of ['5', '6']) made.add(new Written(name, `add@/${name}\n`));
  assert.is(readOf(reader), `add@/2\n\n${overflow(2)}add@/5\n\n${overflow(1)}`);
  assert.is(made.lost, 3);
  assert.not(reader.ready);
});

queue('counts a dropped overflow record with all events that it stood for', () => {
  for (const policy of ['drop-oldest', 'drop-newest'] as const) {
    const made = new Queue<Entry>({ events: 1, bytes: 1000, overflow: policy });
    const [plain, heavy] = ['1', '2'].map((name) => new Written(name, `add@/${name}\n`));
    heavy.weight = 40;
    for (const event of policy === 'drop-oldest' ? [heavy, plain] : [plain, heavy]) made.add(event);
    assert.is(
      readOf(new QueueReader(made)),
      policy === 'drop-oldest' ? `${overflow(40)}add@/1\n\n` : `add@/1\n\n${overflow(40)}`,
    );
    assert.is(made.lost, 40);
  }
});

queue('remembers at most as many losses as it has events, whatever causes them', () => {
  const made = new Queue<Entry>({ events: 50, bytes: 100_000, overflow: 'drop-newest' });
  let [serial, most] = [0, 0];
  const add = (): void => void made.add(new Written(String(serial), `add@/${serial++}\n`));
  for (let n = 0; n < 51; n++) add();
  for (let n = 0; n < 5000; n++) {
    made.remove([...made.entries][n % 40].name);
    add();
    add();
    most = Math.max(most, made.losses.size);
  }
  assert.ok(most <= 53, `${most} places`);
  let records = 0;
  let told = 0;
  const reader = new QueueReader(made);
  const text = readOf(reader, 100_000);
  for (const [, count] of text.matchAll(/^LOST=(\d+)$/gm))
    [records, told] = [records + 1, told + Number(count)];
  assert.is(told, 5001);
  assert.is(made.lost, told);
  assert.ok(records <= 51, `${records} records`);
});

queue('keeps an event that is still being written', () => {
  const made = queueOf();
  const writing = new Written('1', 'add@/1\n');
  writing.done = false;
  made.add(writing);
  made.add(new Written('2', 'add@/2\n'));
  const reader = new QueueReader(made);
  assert.is(made.complete, 1);
  assert.is(readOf(reader), 'add@/2\n\n');
  assert.not(reader.ready);
  writing.done = true;
  assert.is(readOf(reader), 'add@/1\n\n');
});

queue('returns at most a given share', () => {
  const made = queueOf('1', '2', '3', '4');
  const reader = new QueueReader(made);
  assert.is(readOf(reader, 1000, 3), 'add@/1\n\nadd@/2\n\nadd@/3\n\n');
  assert.is(made.entries.size, 1);
});

queue.run();
