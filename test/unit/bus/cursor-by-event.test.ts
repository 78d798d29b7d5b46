/**
 * A cursor that is read event by event, as socket outlets do, against a model that remembers
 * everything.
 */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { Cursor } from '../../../fs/bus/readers/cursor.js';
import { FilterGroup } from '../../../fs/bus/readers/filter-group.js';
import type { Event } from '../../../fs/bus/event.js';
import { Filter } from '../../../fs/uevent/filter/filter.js';
import { Log } from '../../../fs/bus/log.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const messages = suite('a cursor that is read event by event');

type Step = { readonly publish: number } | { readonly read: number; readonly back: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ publish: fc.integer({ min: 1, max: 12 }) }),
  fc.record({ read: fc.integer({ min: 1, max: 8 }), back: fc.nat(8) }),
);

/**
 * Publishes and reads by the steps. Checks that each event of the filter group is read once, in
 * order, or lost by number.
 */
function play(steps: readonly Step[], filter: string): void {
  const log = new Log({ bytes: 1024, events: 8 });
  const audience = new FilterGroup(log, Filter.parse(filter));
  const cursor = new Cursor(audience);
  let number = 0;
  const wanted: number[] = [];
  let next = 0; // the index in `wanted` of the next event that was neither read nor lost
  const publish = (): void => {
    const matches = number % 3 !== 0;
    const text = Buffer.from(
      `add@/x\nN=${number}\nM=${matches ? 1 : 0}\n${'v='.padEnd(number % 50, 'v')}\n`,
    );
    const event = log.append(String(number), 1, text, text.length, { sec: 0, nsec: 0 });
    if (audience.take(event)) wanted.push(number);
    number++;
  };
  const read = (most: number, back: number): void => {
    assert.is(cursor.pending + cursor.lost - cursor.toldLost, wanted.length - next);
    next += cursor.takeLoss();
    assert.is(cursor.overtaken, false);
    const got: Event[] = [];
    for (let event: Event | undefined; got.length < most && (event = cursor.next()) !== undefined;)
      got.push(event);
    assert.equal(
      got.map((event) => Number(event.property('N'))),
      wanted.slice(next, next + most),
    );
    next += got.length;
    const again = Math.min(back, got.length);
    if (again === 0) return;
    // the socket accepted only the earlier ones
    cursor.standBefore(got[got.length - again], cursor, again - 1);
    next -= again;
  };
  for (const one of [...steps, { read: 1000, back: 0 }]) {
    if ('publish' in one) for (let n = 0; n < one.publish; n++) publish();
    else read(one.read, one.back);
  }
  assert.is(next, wanted.length);
  assert.is(cursor.ready, false);
}

messages('returns each event once and in order, or the number of lost ones', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => play(steps, '')),
    runs(1000),
  );
});

messages('does so with a filter too', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => play(steps, 'M==1')),
    runs(1000),
  );
});

messages.run();
