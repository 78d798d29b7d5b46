/** Tests every design of the comparison with a few subscribers: received and lost events add up. */
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { DESIGNS, type Design } from '../../../benchmarks/compare/designs/designs.js';
import type { Peer } from '../../../benchmarks/compare/designs/peer.js';
import { type Deaths, measureDeaths } from '../../../benchmarks/compare/measures/deaths.js';
import { skip, suite } from '../../support/runner/suite.js';

const designs = suite('the design');
const SUBSCRIBERS = 4;
const PUBLISHERS = 2;
const EVENTS = 25;
/** More events than the log, a socket or a receive buffer of 4 MiB holds. */
const TOO_MANY = 3500;
const TIMEOUT_MS = 20_000;
const TEST_TIMEOUT_MS = 60_000;
const NOTHING = { bytes: 0, inodes: 0, descriptors: 0, processes: 0 };

async function withPeer(design: Design, work: (peer: Peer) => Promise<void>): Promise<void> {
  const why = design.unavailable?.();
  if (why !== undefined) skip(why);
  const scratch = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'compare-'));
  const peer = design.make(
    { subscribers: SUBSCRIBERS, bytes: 300, publishers: PUBLISHERS },
    scratch,
  );
  try {
    await peer.start();
    await peer.subscribe();
    await work(peer);
  } finally {
    await peer.stop();
    rmdirSync(scratch); // Fails if a file is left.
  }
}

for (const design of DESIGNS) {
  designs(
    `'${design.title}' delivers every event once and in order, and leaves the files that it is known to leave`,
    async () => {
      await withPeer(design, async (peer) => {
        await peer.burst(EVENTS);
        await peer.publishEvenly(500, EVENTS);
        const { events, lost, disorder, alive } = await peer.caughtUp(TIMEOUT_MS);
        assert.is(peer.publishedInAll, (PUBLISHERS + 1) * EVENTS);
        assert.is(alive, SUBSCRIBERS);
        assert.is(events, peer.publishedInAll * SUBSCRIBERS);
        assert.is(lost, 0);
        assert.is(disorder, 0);
        assert.is((await peer.latencies()).count, events);
        checkDeaths(design, await measureDeaths(peer, design.id === 'cleaned'));
      });
    },
    TEST_TIMEOUT_MS,
  );

  designs(
    `'${design.title}' accounts for the events that paused subscribers lose`,
    async () => {
      await withPeer(design, async (peer) => {
        await peer.pause(SUBSCRIBERS - 1);
        await peer.burst(TOO_MANY);
        await peer.resume();
        await peer.drain(TIMEOUT_MS);
        await peer.burst(1); // Subscribers notice their last loss by the next event.
        const { events, lost, disorder } = await peer.caughtUp(TIMEOUT_MS);
        assert.is(events + lost, peer.publishedInAll * SUBSCRIBERS);
        assert.is(disorder, 0);
        assert.is(lost > 0, design.family !== 'files', `${lost} lost`);
      });
    },
    TEST_TIMEOUT_MS,
  );
}

function checkDeaths(design: Design, deaths: readonly Deaths[]): void {
  const [first, wrapped, unwatched] = deaths;
  assert.is(first.killed, SUBSCRIBERS / 2);
  if (design.family !== 'files') {
    assert.is(first.reached, 0);
    assert.is(first.held, 0);
    assert.equal(first.leftAtLast, NOTHING);
    const hasDirectory = design.family === 'eventfs' && design.id !== 'stream';
    assert.is(first.tried > 0, hasDirectory);
    return;
  }
  assert.is(first.held, first.killed, 'a descriptor from before the death still reads');
  if (design.id === 'fifodir') {
    assert.is(first.reached, first.tried);
    assert.is(first.goneMs, null);
    return assert.ok(first.leftAtLast.inodes > first.killed);
  }
  assert.is.not(first.goneMs, null, 'the wrapper removes the files');
  assert.is(wrapped.reached, wrapped.tried);
  assert.is.not(wrapped.goneMs, null, 'the catch-all removes the files');
  assert.is(unwatched.goneMs, null);
  assert.ok(unwatched.leftAtLast.inodes > unwatched.killed);
}

designs.run();
