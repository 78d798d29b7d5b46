import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { checked, uncheck } from '../../../fs/state/checksum.js';
import { Journal } from '../../../fs/state/journal.js';
import { StateLayout, heapMemory } from '../../../fs/state/layout.js';
import { type Recorded, Recorder } from '../../../fs/state/recorder.js';
import { Kind, SCHEMA, schemaText } from '../../../fs/state/schema.js';
import { StateTable } from '../../../fs/state/table.js';
import { UserError } from '../../../fs/shared/errors.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const journals = suite('the journal of the state');

const SIZES = { ring: 4096, mailbox: 4096, half: 4 * 1024 * 1024 };

function made(): Journal {
  return Journal.create(heapMemory(StateLayout.bytes(SIZES)), SIZES);
}

/** Reads what a daemon finds that opens the same memory. */
function reopened(journal: Journal): StateTable {
  return new StateTable(StateLayout.open(journal.layout.memory));
}

function group(journal: Journal, id: number, filter: string, matched: number): void {
  journal.begin(Kind.group).number(id).text(filter).number(0).number(0).number(matched).end();
}

journals('returns the last committed record of each thing', () => {
  const journal = made();
  group(journal, 1, 'ACTION==add', 3);
  group(journal, 2, '', 0);
  journal.commit();
  group(journal, 1, 'ACTION==add', 4);
  journal.commit();
  group(journal, 1, 'ACTION==add', 5);
  const table = reopened(journal);
  assert.equal(table.get('group', 1), {
    id: 1,
    filter: 'ACTION==add',
    since: 0,
    number: 0,
    matched: 4,
  });
  assert.equal(
    [...table.all('group')].map(({ id }) => id),
    [1, 2],
  );
});

journals('keeps texts and bytes of any length', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.double(), (value, number) => {
      const journal = made();
      const text = Buffer.from(value).toString('latin1');
      journal.begin(Kind.text).number(7).bytes(value, 0, value.length).end();
      journal.begin(Kind.group).number(8).text(text).number(number).number(0).number(1).end();
      journal.commit();
      const table = reopened(journal);
      assert.equal(table.get('text', 7)?.bytes, value);
      assert.is(table.get('group', 8)?.filter, text);
      assert.ok(Object.is(table.get('group', 8)?.since, number));
    }),
    runs(200),
  );
});

journals('a random history, with a compaction at any place, is what a map would be', () => {
  const step = fc.record({ key: fc.nat(5), value: fc.nat(), action: fc.nat(9) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const recorder = new Recorder(made());
      const model = new Map<number, Thing>();
      recorder.living = () => model.values();
      for (const { key, value, action } of steps) {
        if (action === 0 && !recorder.journal.isCompacting) {
          recorder.commit();
          recorder.compact();
        } else if (action === 1) recorder.step();
        else if (action === 2 && model.delete(key)) recorder.dropped(Kind.group, key);
        else {
          const thing = model.get(key) ?? new Thing(key);
          model.set(key, thing);
          thing.matched = value;
          recorder.changed(thing);
        }
        recorder.commit();
        const found = [...reopened(recorder.journal).all('group')];
        const order = (a: { id: number }, b: { id: number }): number => a.id - b.id;
        assert.equal(
          found.map(({ id, matched }) => ({ id, matched })).sort(order),
          [...model.values()].map(({ id, matched }) => ({ id, matched })).sort(order),
        );
      }
    }),
    runs(200),
  );
});

class Thing implements Recorded {
  isMarked = false;
  matched = 0;

  constructor(readonly id: number) {}

  record(journal: Journal): void {
    group(journal, this.id, '', this.matched);
  }
}

journals('each flipped bit of a small state is refused, or changes nothing', () => {
  const journal = made();
  group(journal, 1, 'SUBSYSTEM==block', 17);
  journal.begin(Kind.link).number(9).number(2).number(30).text('a').number(0).end();
  journal.commit();
  const { bytes } = journal.layout.memory;
  const right = JSON.stringify(contents(reopened(journal)));
  const halves = journal.layout.halves[0];
  const used: [number, number][] = [
    [0, 80],
    [4096, 4096 + schemaText().length],
    [halves, halves + journal.length * 8],
  ];
  let refusals = 0;
  for (const [start, end] of used)
    for (let bit = start * 8; bit < end * 8; bit++) {
      bytes[bit >> 3] ^= 1 << (bit & 7);
      try {
        assert.is(JSON.stringify(contents(reopened(journal))), right);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        refusals++;
      }
      bytes[bit >> 3] ^= 1 << (bit & 7);
    }
  assert.ok(refusals > 1000, `only ${refusals} flips were refused`);
});

function contents(table: StateTable): unknown {
  return [[...table.all('group')], table.links(9)];
}

journals('a truncated or foreign memory is refused', () => {
  const journal = made();
  const { bytes } = journal.layout.memory;
  const open = (memory: Uint8Array) => () =>
    StateLayout.open({ ...journal.layout.memory, bytes: memory });
  assert.throws(open(bytes.subarray(0, 100)), /too short/);
  assert.throws(open(bytes.subarray(0, bytes.length / 2)), /truncated/);
  assert.throws(open(new Uint8Array(bytes.length)), /mark of this version/);
});

journals('a field that this version does not know is refused by its name', () => {
  const journal = made();
  const { bytes } = journal.layout.memory;
  const text = Buffer.from(schemaText().replace('lastId', 'lastIx'), 'latin1');
  bytes.set(text, 4096);
  assert.throws(() => reopened(journal), /does not know "lastIx:number"/);
});

journals('a checked number survives no flipped bit', () => {
  const memory = new Float64Array(1);
  const words = new Uint32Array(memory.buffer);
  for (const value of [0, 1, 4711, 2 ** 36 - 1]) {
    memory[0] = checked(value);
    assert.is(uncheck(memory[0]), value);
    for (let bit = 0; bit < 64; bit++) {
      words[bit >> 5] ^= 1 << (bit & 31);
      assert.is(uncheck(memory[0]), -1);
      words[bit >> 5] ^= 1 << (bit & 31);
    }
  }
});

journals('each kind has a number of its own', () => {
  const ids = Object.values(SCHEMA).map(({ id }) => id);
  assert.is(new Set(ids).size, ids.length);
});

journals.run();
