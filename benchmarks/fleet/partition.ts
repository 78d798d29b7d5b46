/** A host that is cut off for 30 s while events come: each is delivered or counted. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Figure, figure } from '../figure.js';
import { cut, restore } from '../../test/support/fleet/network.js';
import { Reader, knows, publish } from '../../test/support/fleet/bridges.js';
import { end, onStage } from './stage.js';

const CUT_MS = 30_000;
const PER_SECOND = 500;
const TICK_MS = 100;
const BEFORE_MS = 3000;
const PATIENCE_MS = 60_000;

export async function partition(say: (progress: string) => void): Promise<Figure[]> {
  return onStage({}, async (stage) => {
    const { local, fleet, web } = stage;
    const follower = await stage.follower('--keep-alive', '5');
    const publisher = await stage.publisher('--keep-alive', '5');
    await knows(fleet.path, 'web1');
    const reader = await Reader.of(fleet, 'web1');
    await sleep(500);
    let published = 0;
    const start = performance.now();
    const timer = setInterval(() => {
      const due = Math.floor(((performance.now() - start) * PER_SECOND) / 1000);
      publish(local, published, due);
      published = due;
    }, TICK_MS);
    await sleep(BEFORE_MS);
    say('the host is cut off');
    await cut(web);
    await sleep(CUT_MS);
    await restore(web);
    say('the host is back');
    await sleep(BEFORE_MS);
    clearInterval(timer);
    const restored = performance.now();
    await reader.reaches(published, PATIENCE_MS);
    const tookMs = performance.now() - restored + BEFORE_MS;
    reader.end();
    await end(publisher);
    await end(follower);
    return [
      figure(`events published, ${CUT_MS / 1000} s of them without a network`, published, ''),
      figure('events delivered, in order, none twice', reader.events, ''),
      figure('events counted as lost', reader.lost, ''),
      figure('events neither delivered nor counted', published - reader.events - reader.lost, '', {
        atMost: 0,
      }),
      figure('all are there after the cable is back', tookMs / 1000, ' s'),
    ];
  });
}
