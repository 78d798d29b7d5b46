/** The rate of the last minute against a plain count. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { Log } from '../../../fs/bus/log.js';
import { RATE_SECONDS, recentRate } from '../../../fs/bus/rate.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';
import { bytes } from './reading.js';

const rate = suite('the rate');

const RING = { bytes: 4096, events: 8 };
const NOW_MS = 1_000_000_000;

/** Returns a log with events at these ages, in milliseconds before NOW_MS, oldest first. */
function logOf(ages: readonly number[]): Log {
  const log = new Log(RING);
  for (const age of ages) {
    const ms = NOW_MS - age;
    const sec = Math.floor(ms / 1000);
    const time = { sec, nsec: (ms - sec * 1000) * 1_000_000 };
    log.append(String(log.next), log.next + 2, bytes('a@/b\n'), 5, time);
  }
  return log;
}

rate('is that of the last minute, of the daemon, or of the ring, whichever is shortest', () => {
  const ages = fc.array(fc.integer({ min: 0, max: 100_000 }), { maxLength: 20 });
  fc.assert(
    fc.property(ages, fc.integer({ min: 1000, max: 200_000 }), (unsorted, uptimeMs) => {
      const sorted = [...unsorted].filter((age) => age <= uptimeMs).sort((a, b) => b - a);
      const kept = sorted.slice(-RING.events);
      const span = Math.min(RATE_SECONDS * 1000, uptimeMs);
      const recent = kept.filter((age) => age <= span);
      const isCut = sorted.length > kept.length && recent.length === kept.length;
      const seconds = Math.max(isCut ? kept[0] : span, 1) / 1000;
      assert.ok(
        Math.abs(recentRate(logOf(sorted), NOW_MS, NOW_MS - uptimeMs) - recent.length / seconds) <
          1e-6,
      );
    }),
    runs(200),
  );
});

rate('is 0 without events', () => {
  assert.is(recentRate(logOf([]), NOW_MS, NOW_MS), 0);
  assert.is(recentRate(logOf([90_000]), NOW_MS, NOW_MS - 100_000), 0);
});

rate.run();
