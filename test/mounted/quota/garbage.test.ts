/**
 * Garbage: a collection by V8 delays every user. So the delivery of an event to a queue that drops
 * its oldest event makes none, whichever bound the queue has reached.
 */
import * as assert from 'uvu/assert';
import { mkdirSync } from 'node:fs';
import { publish, statusOf } from '../../support/clients/clients.js';
import { configured } from '../../support/mount/config.js';
import { startDaemon } from '../../support/mount/daemon.js';
import { withPreload } from '../../support/project.js';
import { figure } from '../../support/runner/output.js';
import { suite } from '../../support/runner/suite.js';

const garbage = suite('a delivery');

const MIB = 1024 * 1024;
const BOUND_ALONE = 65_531;
const BOUND_WITH_OTHERS = 65_532;
const ROOT = 0;
const QUEUES = 240;
const EVENTS = 40_000;
const EVENTS_A_WRITE = 500;
const SEMI_SPACE_MIB = 1;
/** The most garbage, in bytes: a number that V8 puts on its heap takes 16. */
const MOST_A_DELIVERY = 15;
/** The garbage of an event itself, in bytes: its text, its object and its part of the request. */
const MOST_AN_EVENT = 3072;

/** Makes process directories of this process, in the name of another user. */
function makeDirectories(mount: string, uid: number, count: number): void {
  process.setegid!(uid);
  process.seteuid!(uid);
  try {
    for (let n = 0; n < count; n++) mkdirSync(`${mount}/${uid}-${n}`);
  } finally {
    process.seteuid!(0);
    process.setegid!(0);
  }
}

async function deliver(config: string, uids: readonly number[]): Promise<void> {
  const daemon = await startDaemon(config === '' ? undefined : configured(config), undefined, {
    eventfs: withPreload('count-collections'),
    env: { EVENTFS_ASSERT: '', NODE_OPTIONS: `--max-semi-space-size=${SEMI_SPACE_MIB}` },
  });
  for (const uid of uids) makeDirectories(daemon.path, uid, QUEUES / uids.length);
  const text = 'add@/x\n\n'.repeat(EVENTS_A_WRITE);
  publish(daemon.path, ...Array.from({ length: EVENTS / EVENTS_A_WRITE }, () => text));
  for (const uid of uids)
    assert.is.not(statusOf(`${daemon.path}/${uid}-0`).LOST, '0', `a queue of ${uid} is full`);
  assert.is(await daemon.stop(), 0);
  const collections = Number(/^collections: (\d+)$/m.exec(daemon.log())![1]);
  figure(
    `garbage of ${EVENTS} events in ${QUEUES} queues: ${collections} collections of ${SEMI_SPACE_MIB} MiB`,
  );
  assert.ok(collections > 0, 'the daemon has counted');
  const bytes = collections * SEMI_SPACE_MIB * MIB;
  assert.ok(
    bytes < EVENTS * (MOST_AN_EVENT + QUEUES * MOST_A_DELIVERY),
    `${bytes / EVENTS} bytes of garbage an event`,
  );
}

garbage("to queues at the queue's bound makes no garbage", () => deliver('', [ROOT]));

garbage('to queues of users with bounds of their own makes no garbage', () =>
  deliver(
    `
      [queue]
      events = 100
      [quota.uid.default]
      memory = "50 MiB"
      bytes = "50 MiB"
      [quota.uid.${BOUND_ALONE}]
      events = 100000
      directories = 1000
      [quota.gid.default]
      directories = 1000
    `,
    [ROOT, BOUND_ALONE, BOUND_WITH_OTHERS],
  ),
);

garbage("to queues at the mount's bound makes no garbage", () =>
  deliver('[limits]\nmemory = "32 MiB"\n', [ROOT]),
);

garbage("to queues at the user's bound makes no garbage", () =>
  deliver('[quota.uid.default]\nmemory = "32 MiB"\n', [BOUND_WITH_OTHERS]),
);

garbage.run();
