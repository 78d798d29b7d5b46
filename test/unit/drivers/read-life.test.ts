/**
 * How long reads may block where the kernel limits the age of requests; and the end of old reads.
 */
import * as fc from 'fast-check';
import * as assert from 'uvu/assert';
import { setTimeout as sleep } from 'node:timers/promises';
import { readLife } from '../../../fs/drivers/common/read-life.js';
import { ReadAges } from '../../../fs/drivers/devfuse/hand-over/read-ages.js';
import { ReadExpiry } from '../../../fs/drivers/devfuse/read-expiry.js';
import { UserError } from '../../../fs/shared/errors.js';
import { limitFor } from '../../../fs/shared/kernel/request-timeout.js';
import { ParkedRead, type Handle } from '../../../fs/tree/nodes/node.js';
import { suite } from '../../support/runner/suite.js';

const life = suite('the life of a blocked read');
const seconds = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 65_535 }));

life('ends at least 30 s before the limit of the kernel, or the daemon does not start', () => {
  fc.assert(
    fc.property(seconds, seconds, fc.boolean(), (byDefault, max, canAsk) => {
      let got;
      try {
        got = readLife({ byDefault, max }, canAsk, 30);
      } catch (error) {
        assert.instance(error, UserError);
        const limit = limitFor({ byDefault, max }, canAsk ? 65_535 : 0);
        assert.ok(limit > 0 && limit < 60);
        return;
      }
      const limit = limitFor({ byDefault, max }, got.asked);
      assert.is(got.limit, limit);
      assert.is(got.ms, limit === 0 ? 0 : (limit - 30) * 1000);
      assert.ok(limit === 0 || got.ms >= 30_000);
    }),
  );
});

life('has no end, and the daemon asks for no limit, if the kernel has none', () => {
  assert.equal(readLife({ byDefault: 0, max: 0 }, true, 30), { asked: 0, limit: 0, ms: 0 });
});

life('is not bound by the default limit if the daemon can ask for another', () => {
  assert.is(readLife({ byDefault: 20, max: 0 }, true, 30).limit, 65_535);
  assert.is(readLife({ byDefault: 20, max: 90 }, true, 30).limit, 90);
  assert.is(readLife({ byDefault: 70, max: 90 }, false, 30).limit, 70);
  assert.throws(() => readLife({ byDefault: 20, max: 90 }, false, 30), /default_request_timeout=0/);
  assert.throws(() => readLife({ byDefault: 0, max: 59 }, true, 30), /max_request_timeout=0/);
});

life('of the kernel is that of fs/fuse/req_timeout.c: at least 15 s', () => {
  assert.is(limitFor({ byDefault: 0, max: 5 }, 0), 15);
  assert.is(limitFor({ byDefault: 100, max: 50 }, 0), 50);
  assert.is(limitFor({ byDefault: 100, max: 0 }, 65_535), 65_535);
});

life('ends for the old reads only, 64 at a time, and the timer stops after the last', async () => {
  const LIFE_MS = 200;
  const reads: (ParkedRead | undefined)[] = [];
  const ended: number[] = [];
  const expiry = new ReadExpiry(
    {
      get slots() {
        return reads.length;
      },
      at: (slot) => reads[slot],
      words: new Uint32Array(512),
    },
    256,
    LIFE_MS,
    ({ slot }) => {
      ended.push(slot);
      reads[slot] = undefined;
    },
  );
  const park = (slot: number): void => {
    reads[slot] = new ParkedRead(slot, {} as Handle, 4096);
    expiry.note(slot);
  };
  for (let slot = 0; slot < 100; slot++) park(slot);
  reads[3] = undefined; // answered
  await sleep(0.75 * LIFE_MS);
  park(100); // young when the others are old
  await sleep(0.5 * LIFE_MS);
  assert.equal(
    ended,
    [...Array(100).keys()].filter((slot) => slot !== 3),
  );
  await sleep(LIFE_MS);
  assert.is(ended.at(-1), 100);
  assert.is(expiry.ended, 100);
  const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  assert.ok(timers <= 1, `${timers} timers`); // one is the runner's
});

life('of a read of the last daemon counts from before its death', () => {
  const pairs = new Float64Array(8);
  const last = new ReadAges(pairs, 1200);
  const began = [
    [10, 1000],
    [12, 1050], // too soon for a pair of its own
    [14, 1300],
    [2 ** 40, 1500],
  ];
  for (const [unique, ms] of began) last.note(unique, ms);
  const next = new ReadAges(pairs, 1200);
  assert.equal(
    [8, 10, 12, 13, 14, 20, 2 ** 40 + 2].map((unique) => next.notBefore(unique)),
    [-Infinity, 1000, 1000, 1000, 1300, 1300, 1500],
  );
  next.note(2 ** 40 + 4, 1550); // the pair of the last daemon is young enough
  for (const ms of [1700, 1900]) next.note(2 ** 40 + ms, ms);
  assert.equal(
    [12, 14, 2 ** 40 + 1800].map((unique) => next.notBefore(unique)),
    [-Infinity, 1300, 1700],
  );
});

life.run();
