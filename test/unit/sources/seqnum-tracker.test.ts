/** SeqnumTracker: the lost SEQNUMs if they come out of order. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { SeqnumTracker } from '../../../fs/sources/seqnum-tracker.js';
import type { SeqNum } from '../../../fs/uevent/text.js';
import { suite } from '../../support/runner/suite.js';

const OPEN_MS = 1000;
const numbers = suite('a SEQNUM');

numbers('that is skipped is a gap until it comes, and no loss', () => {
  const seen = new SeqnumTracker(10 as SeqNum, OPEN_MS);
  assert.ok(seen.come(14 as SeqNum, 0));
  assert.is(seen.gaps, 3);
  for (const late of [12, 11, 13]) assert.ok(seen.come(late as SeqNum, 5));
  assert.is(seen.gaps, 0);
  assert.is(seen.tell(6), 0);
});

numbers('that is missing at an overrun is lost, once, and stays lost if it comes later', () => {
  const seen = new SeqnumTracker(10 as SeqNum, OPEN_MS);
  seen.come(13 as SeqNum, 0);
  assert.is(seen.tell(1), 2);
  assert.is(seen.tell(2), 0);
  assert.not(seen.come(12 as SeqNum, 3));
  assert.ok(seen.come(14 as SeqNum, 3));
  assert.is(seen.gaps, 0);
});

numbers(
  'that was missing long before an overrun belongs to another namespace, and is no loss',
  () => {
    const seen = new SeqnumTracker(10 as SeqNum, OPEN_MS);
    seen.come(12 as SeqNum, 0);
    seen.come(14 as SeqNum, 2 * OPEN_MS);
    assert.is(seen.tell(2 * OPEN_MS + 1), 1);
    assert.is(seen.gaps, 1);
    assert.ok(seen.come(11 as SeqNum, 2 * OPEN_MS + 2), 'it was not told');
  },
);

numbers('that comes twice, is older than all, or is invalid is not counted', () => {
  const seen = new SeqnumTracker(10 as SeqNum, OPEN_MS);
  for (const seqnum of [11, 11, 3, NaN]) assert.ok(seen.come(seqnum as SeqNum, 0));
  assert.is(seen.gaps, 0);
  assert.is(seen.last, 11);
});

/**
 * Events in the order of sending: the distance of each from its place, and whether the socket has
 * room.
 */
const sendings = fc.array(fc.record({ delay: fc.nat(30), dropped: fc.boolean() }), {
  minLength: 1,
  maxLength: 200,
});

numbers('is either delivered or reported as lost, for any order and any overruns', () => {
  fc.assert(
    fc.property(sendings, fc.array(fc.nat(199), { maxLength: 10 }), (sent, tellings) => {
      const seen = new SeqnumTracker(0 as SeqNum, OPEN_MS);
      const order = sent
        .map(({ delay, dropped }, index) => ({ seqnum: index + 1, at: index + delay, dropped }))
        .sort((a, b) => a.at - b.at);
      let [delivered, lost] = [0, 0];
      for (const [place, { seqnum, dropped }] of order.entries()) {
        if (tellings.includes(place)) lost += seen.tell(place);
        if (!dropped && seen.come(seqnum as SeqNum, place)) delivered++;
      }
      seen.skipTo(sent.length as SeqNum, sent.length);
      lost += seen.tell(sent.length);
      assert.is(delivered + lost, sent.length);
      assert.is(seen.gaps, 0);
    }),
    { numRuns: 2000 },
  );
});

numbers.run();
