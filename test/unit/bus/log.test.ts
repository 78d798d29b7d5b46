import fc from 'fast-check';
import * as assert from 'uvu/assert';
import type { Event, Holder, LogIndex } from '../../../fs/bus/event.js';
import { now } from '../../../fs/shared/timestamp.js';
import { Log } from '../../../fs/bus/log.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';
import { bytes, latin1 } from './reading.js';

const log = suite('the log');

const TINY = { bytes: 256, events: 8 };

/**
 * The contents of the ring as a list of pieces: a new event overwrites the pieces in its way, and
 * no other.
 */
class Model {
  live: { number: number; start: number; end: number; text: string }[] = [];
  #end = 0;
  #next = 0;

  append(text: string): void {
    const length = text.length + 1;
    if (this.live.length === TINY.events) this.live.shift();
    if (this.#end + length > TINY.bytes) {
      while (this.live.length > 0 && this.live[0].start >= this.#end) this.live.shift();
      this.#end = 0;
    }
    const [start, end] = [this.#end, this.#end + length];
    while (this.live.length > 0 && this.live[0].start < end && this.live[0].end > start)
      this.live.shift();
    this.live.push({ number: this.#next++, start, end, text });
    this.#end = end;
  }
}

function append(to: Log, text: string): Event {
  return to.append(String(to.next), to.next + 2, bytes(text), text.length, now());
}

/** Texts of all sizes that fit the ring, mostly small. */
const texts = fc.array(
  fc
    .tuple(
      fc.constantFrom('a', 'b', '\xff'),
      fc.oneof(fc.nat(20), fc.nat(100), fc.nat(TINY.bytes - 1)),
    )
    .map(([char, size]) => char.repeat(size)),
  { maxLength: 60, size: 'max' },
);

/** Returns each event's record as it lies in the ring. */
function inRing(of: Log): { number: number; record: string }[] {
  const found: { number: number; record: string }[] = [];
  for (let number = of.oldest; number < of.next; number++) {
    const { start, recordLength, number: own } = of.at(number);
    assert.is(own, number);
    found.push({ number, record: latin1(of.memory.subarray(start, start + recordLength)) });
  }
  return found;
}

log('keeps the events that fit its ring, in order and whole', () => {
  const property = fc.property(texts, (all) => {
    const real = new Log(TINY);
    const model = new Model();
    for (const text of all) {
      append(real, text);
      model.append(text);
      assert.equal(
        inRing(real),
        model.live.map(({ number, text: own }) => ({ number, record: `${own}\n` })),
      );
      assert.ok(model.live.length <= TINY.events);
    }
    assert.is(real.next, all.length);
  });
  fc.assert(property, runs(2000));
});

log('returns the largest run of whole records that lie in one piece', () => {
  const property = fc.property(texts, fc.nat(TINY.bytes + 10), (all, room) => {
    const real = new Log(TINY);
    for (const text of all) append(real, text);
    for (let from = real.oldest; from < real.next; from++) {
      const { start } = real.at(from);
      let end = from;
      for (let at = start; end < real.next; end++) {
        const event = real.at(end);
        if (event.start !== at || at + event.recordLength - start > room) break;
        at += event.recordLength;
      }
      assert.is(real.run(from, room), end);
    }
  });
  fc.assert(property, runs(2000));
});

log('accepts an event as large as its ring', () => {
  const real = new Log(TINY);
  append(real, 'small');
  const text = 'x'.repeat(TINY.bytes - 1);
  for (let round = 1; round < 4; round++) {
    assert.is(append(real, text).text, text);
    assert.is(real.oldest, round);
    assert.is(real.run(round as LogIndex, TINY.bytes - 1), round);
    assert.is(real.run(round as LogIndex, TINY.bytes), round + 1);
  }
});

log('copies only the given number of bytes', () => {
  const real = new Log(TINY);
  const event = real.append('1', 2, bytes('one\ntwo\nthree'), 4, now());
  assert.is(event.text, 'one\n');
  assert.is(latin1(real.memory.subarray(0, 6)), 'one\n\n\0');
});

// ---- an event in the ring and after it

const event = suite('an event');
const holder: Holder = {
  bytes: 0,
  quota: null,
  incomplete: 0,
  refuses: () => false,
  overflows: () => false,
  makeRoom: () => undefined,
  becameComplete: () => undefined,
};

/** Fills the ring with new events. */
function overtakeAll(of: Log): void {
  for (let n = 0; n < TINY.events + 1; n++) append(of, 'z'.repeat(60));
}

event('that is linked keeps its bytes when the ring moves on', () => {
  const ring = new Log(TINY);
  const held = append(ring, 'add@/x\nA=B\n');
  held.link(holder);
  assert.ok(held.bytes === ring.memory && held.inRing);
  overtakeAll(ring);
  assert.not(held.inRing);
  assert.ok(held.bytes !== ring.memory);
  assert.is(held.text, 'add@/x\nA=B\n');
  assert.is(
    latin1(held.bytes.subarray(held.start, held.start + held.recordLength)),
    'add@/x\nA=B\n\n',
  );
  assert.is(ring.arena.live, held.recordLength, 'it took more memory along than it needs');
});

event('that is open keeps its bytes when the ring moves on and the last queue drops it', () => {
  const ring = new Log(TINY);
  const held = append(ring, 'add@/x\n');
  held.link(holder);
  held.opens++;
  overtakeAll(ring);
  held.unlink(holder);
  held.dropCaches();
  assert.is(held.text, 'add@/x\n');
  held.close();
  held.dropCaches();
  assert.is(held.length, 0);
  assert.is(ring.arena.live, 0);
});

event('without a holder is freed when the ring moves on, and not before', () => {
  const ring = new Log(TINY);
  const held = append(ring, 'add@/x\n');
  held.link(holder);
  held.unlink(holder);
  held.opens++;
  held.close();
  assert.is(held.text, 'add@/x\n');
  overtakeAll(ring);
  held.dropCaches();
  assert.is(held.text, '');
  assert.is(held.length, 0);
});

event('is freed exactly when ring, queues and open files have all dropped it', () => {
  const steps = fc.array(fc.constantFrom('link', 'unlink', 'open', 'close', 'detach'), {
    maxLength: 20,
  });
  const property = fc.property(steps, (all) => {
    const ring = new Log(TINY);
    const held = append(ring, 'add@/x\n');
    let freed = false;
    for (const step of all) {
      if (freed) break;
      if (step === 'link') held.link(holder);
      if (step === 'unlink' && held.links > 0) held.unlink(holder);
      if (step === 'open') held.opens++;
      if (step === 'close' && held.opens > 0) held.close();
      if (step === 'detach' && held.inRing) overtakeAll(ring);
      freed = !held.inRing && held.links === 0 && held.opens === 0;
      held.dropCaches();
      assert.is(held.text, freed ? '' : 'add@/x\n');
    }
  });
  fc.assert(property, runs(1000));
});

event('knows its action, devpath and properties', () => {
  const ring = new Log(TINY);
  const own = append(ring, 'add@/devices/x@/y\nACTION=add\nA=\nAB=1\nB=x=y\n');
  assert.is(own.action, 'add');
  assert.is(own.devpath, '/devices/x@/y');
  assert.is(own.property('ACTION'), 'add');
  assert.is(own.property('A'), '');
  assert.is(own.property('AB'), '1');
  assert.is(own.property('B'), 'x=y');
  assert.is(own.property('x'), undefined);
  assert.is(own.property('CTION'), undefined);
});

event('with a key twice has the last value, and keeps no properties once it is settled', () => {
  const ring = new Log(TINY);
  const own = append(ring, 'add@/x!y\nA=1\nB=2\nA=3\n=4\nno property\nTAGS=:a::b:\n');
  assert.equal(
    [...own.properties],
    [
      ['A', '3'],
      ['B', '2'],
      ['TAGS', ':a::b:'],
    ],
  );
  assert.equal([...own.tags], ['a', 'b']);
  assert.is(own.kernel, 'x/y');
  const { properties } = own;
  assert.is(own.properties, properties, 'they are worked out once');
  own.dropCaches();
  assert.is.not(own.properties, properties);
});

event('without text has neither action nor devpath', () => {
  const empty = append(new Log(TINY), '');
  assert.is(empty.action, '');
  assert.is(empty.devpath, '');
  assert.is(empty.property('A'), undefined);
});

log.run();
event.run();
