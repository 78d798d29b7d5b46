/**
 * The promise for blocked reads: an event that comes after the owner's death reaches no read of its
 * `.stream`, whichever way the event is published (test/programs/measure/late.c). The daemon also
 * asserts that it drains the deaths before each reply (fs/tree/drain-check.ts).
 */
import * as assert from 'uvu/assert';
import { rmdirSync } from 'node:fs';
import { untilAlone } from '../../support/clients/actor.js';
import { compiled } from '../../support/clients/compiled.js';
import { killDaemons, run, startDaemon } from '../../support/mount/daemon.js';
import { figure } from '../../support/runner/output.js';
import { skip, suite } from '../../support/runner/suite.js';
import { missingRing, withRing } from '../../support/mount/transport.js';

const ROUNDS = process.env.EVENTFS_LATE_ROUNDS ?? '150';
const TIMEOUT_MS = 600_000;

/** The ways to publish the event, by the source that the mount needs. */
const KINDS = { kernel: ['uevent'], none: ['publish', 'header', 'exit', 'file'] } as const;
const TRANSPORTS = {
  'read(2)': ['--transport', 'read'],
  io_uring: ['--transport', 'io-uring'],
  'fuse-native': ['--driver', 'fuse-native'],
} as const;

const late = suite('an event after the death');

late.after(async () => {
  await killDaemons();
  await untilAlone();
});

async function check(transport: readonly string[], source: keyof typeof KINDS): Promise<void> {
  const daemon = await startDaemon(['--source', source, ...transport]);
  for (const kind of KINDS[source]) {
    for (const load of ['0', '2']) {
      const { out, err, code } = await run([compiled('late'), daemon.path, ROUNDS, load, kind], {
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
  figure(
    `late events of ${source === 'kernel' ? 'the kernel' : 'programs'} that were read, ${transport[1]}: 0 of ${2 * KINDS[source].length * Number(ROUNDS)}`,
  );
  await daemon.stop();
  rmdirSync(daemon.path);
}

for (const [name, transport] of Object.entries(TRANSPORTS)) {
  for (const source of ['kernel', 'none'] as const) {
    const from = source === 'kernel' ? 'the kernel' : 'a program';
    late(
      `reaches no reader through ${name}: from ${from}`,
      async () => {
        if (name !== 'io_uring') return check(transport, source);
        await withRing(async () => {
          const why = missingRing();
          if (why !== null) skip(why);
          await check(transport, source);
        });
      },
      TIMEOUT_MS,
    );
  }
}

late.run();
