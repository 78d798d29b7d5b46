/**
 * Uevents as fast as the kernel sends them (test/programs/measure/storm.c). Each of 16 subscribers
 * of four kinds gets every event in order, or the number of lost ones. The program's own listener
 * counts all events, also those of other senders.
 */
import * as assert from 'uvu/assert';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { statusOf } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { run } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';

const PROGRAM = compiled('storm');
const WRITERS = 4;
const TIMEOUT_MS = 120_000;
const scratch = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'storm-'));

const status = (key: string): number => Number(statusOf(`${daemon.path}/log`)[key]);

/** Runs the program to its end. @returns the numbers that it prints */
async function storm(
  count: number,
  socket: string,
  ...more: number[]
): Promise<Map<string, number>> {
  const { out, err, code } = await run(
    [PROGRAM, ...[count, WRITERS, daemon.path, socket, ...more].map(String)],
    { timeoutMs: TIMEOUT_MS, signal: 'SIGTERM' },
  );
  assert.is(code, 0, err);
  const sums = new Map(
    out
      .trim()
      .split(' ')
      .map((pair): [string, number] => [pair.split('=')[0], Number(pair.split('=')[1])]),
  );
  assert.ok(sums.get('sent')! > count, out); // a mark follows the last event
  assert.is(sums.get('disorder'), 0, out);
  assert.is(sums.get('mismatches'), 0, `${out}${err}`);
  return sums;
}

const SOCKET = join(scratch, 'socket');
const all = mounted('a storm of uevents', ['--source', 'kernel', '--socket', SOCKET]);

all(
  'reaches 16 subscribers in order, and for each the received and lost events add up',
  async () => {
    const sums = await storm(10_000, SOCKET);
    // After an overrun the daemon also counts the numbers of other namespaces' events as lost.
    if (status('KERNEL_OVERRUNS') === 0) assert.is(sums.get('inexact'), 0);
  },
  TIMEOUT_MS,
);

all.run();

const SMALL_SOCKET = join(scratch, 'small');
/** Without CAP_NET_ADMIN the buffer is net.core.rmem_max. */
const UNPRIVILEGED = {
  under: ['setpriv', '--bounding-set', '-net_admin', '--inh-caps', '-net_admin'],
};
const few = mounted(
  'a storm of uevents larger than the socket buffer',
  ['--source', 'kernel', '--socket', SMALL_SOCKET],
  UNPRIVILEGED,
);

few(
  'loses an exact number of events, although the kernel sends them out of order',
  async () => {
    await storm(20_000, SMALL_SOCKET, daemon.pid); // the program stops the daemon meanwhile
    if (status('KERNEL_BUFFER') <= 8 << 20)
      assert.ok(status('LOST') > 0, 'the buffer had room for all events');
    await storm(20_000, SMALL_SOCKET);
  },
  TIMEOUT_MS,
);

few.run();
