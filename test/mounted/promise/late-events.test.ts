/**
 * The promise where no request of the reader's causes the answer: an event that comes after the owner's death reaches no
 * read that is blocked on its `.stream`, whatever brings the event (test/programs/late.c). The daemon asserts
 * besides that each answer has a drain of the deaths before it (fs/tree/drain-check.ts).
 */
import * as assert from 'uvu/assert';
import { rmdirSync } from 'node:fs';
import { buildClients, client, untilAlone } from '../../support/actor.js';
import { killDaemons, run, startDaemon } from '../../support/daemon.js';
import { suite } from '../../support/suite.js';
import { missingRing, withRing } from '../../support/transport.js';

const ROUNDS = process.env.EVENTFS_LATE_ROUNDS ?? '150';
const TIMEOUT_MS = 600_000;

/** What brings the event, by the source that the mount needs. */
const KINDS = { kernel: ['uevent'], none: ['publish', 'header', 'exit', 'file'] } as const;
const DOORS = {
  'read(2)': ['--transport', 'read'],
  io_uring: ['--transport', 'io-uring'],
  'fuse-native': ['--driver', 'fuse-native'],
} as const;

const late = suite('an event that comes after the death');

late.before(() => {
  buildClients();
});
late.after(async () => {
  await killDaemons();
  await untilAlone();
});

async function check(door: readonly string[], source: keyof typeof KINDS): Promise<void> {
  const daemon = await startDaemon(['--source', source, ...door]);
  for (const kind of KINDS[source]) {
    for (const load of ['0', '2']) {
      const { out, err, code } = await run([client('late'), daemon.path, ROUNDS, load, kind], {
        timeoutMs: TIMEOUT_MS,
      });
      assert.is(code, 0, `${kind}: ${err}${daemon.log()}`);
      assert.is(
        out,
        `rounds=${ROUNDS} stale=0 estale=${ROUNDS} other=0 stuck=0\n`,
        `${kind} with ${load} busy processes`,
      );
    }
  }
  console.log(
    `\n  figure: late events of ${source === 'kernel' ? 'the kernel' : 'programs'} that were read, ${door[1]}: 0 of ${2 * KINDS[source].length * Number(ROUNDS)}`,
  );
  await daemon.stop();
  rmdirSync(daemon.path);
}

for (const [name, door] of Object.entries(DOORS)) {
  for (const source of ['kernel', 'none'] as const) {
    const from = source === 'kernel' ? 'the kernel' : 'a program';
    late(
      `is read by nobody through ${name}: from ${from}`,
      async () => {
        if (name !== 'io_uring') return check(door, source);
        await withRing(async () => {
          const why = missingRing();
          if (why !== null) return console.log(`skipped: ${why}`);
          await check(door, source);
        });
      },
      TIMEOUT_MS,
    );
  }
}

late.run();
