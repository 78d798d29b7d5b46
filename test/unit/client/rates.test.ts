/** Rates between two readings of the status, and which subscribers lag. */
import * as assert from 'uvu/assert';
import { Rates } from '../../../fs/client/rates.js';
import type { MountStatus } from '../../../fs/client/sample.js';
import { type Subscriber, lags, streams } from '../../../fs/client/status.js';
import type { StatusKey } from '../../../fs/shared/status-lines.js';
import { suite } from '../../support/runner/suite.js';

const rates = suite('a rate');

/** @param added by the id of each stream */
function reading(
  atMs: number,
  started: number,
  added: Readonly<Record<number, number>>,
): MountStatus {
  const total = Object.values(added).reduce((sum, count) => sum + count, 0);
  const daemon = new Map<StatusKey, string>([
    ['STARTED', String(started)],
    ['MOST_KEPT', '100'],
    ['KERNEL', String(total)],
  ]);
  Object.entries(added).forEach(([id, count], at) =>
    daemon.set(`STREAM_${at}`, `pid=1 id=${id} pending=0 lost=0 added=${count} filter=`),
  );
  return { atMs, daemon, subscribers: streams(daemon), unreadable: 0 };
}

rates('is the difference over the time between', () => {
  const [before, now] = [reading(1000, 5, { 1: 10, 2: 20 }), reading(3000, 5, { 2: 26, 7: 3 })];
  const found = new Rates(before, now);
  assert.is(found.of('KERNEL'), undefined, 'a counter that has gone down');
  assert.is(found.of('UDEV'), undefined);
  assert.equal(
    now.subscribers.map((one) => found.added(one)),
    [3, undefined],
  );
  assert.equal(
    now.subscribers.map((one) => found.lost(one)),
    [0, undefined],
  );
});

rates('is unknown at first, and after a restart of the daemon', () => {
  const now = reading(3000, 5, { 1: 10 });
  for (const before of [null, reading(1000, 4, { 1: 4 })]) {
    const found = new Rates(before, now);
    assert.equal([found.of('KERNEL'), found.added(now.subscribers[0])], [undefined, undefined]);
  }
});

rates('of losses is not needed to lag: a queue that is nearly full does too', () => {
  const [one] = reading(0, 0, { 1: 0 }).subscribers;
  const at = (changes: Partial<Subscriber>): boolean => lags({ ...one, ...changes });
  assert.equal(
    [at({}), at({ pending: 80 }), at({ pending: 81 }), at({ lost: 1 })],
    [false, false, true, true],
  );
});

rates.run();
