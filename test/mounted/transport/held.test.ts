/**
 * The daemon wakes a reader once for several events while requests follow each other, but only for
 * a limited time (native/addon/fuse/serve_loop.cc, kMaxDeferredNs).
 *
 * close(2) returns although the daemon is stopped, and the kernel queues the RELEASE. So the daemon
 * finds another request behind each when it continues. Each RELEASE of a `publish` that holds an
 * unfinished event publishes it. The number of events in the reader's first read shows when the
 * daemon woke it, however late the machine runs the reader.
 */
import * as assert from 'uvu/assert';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { type Answer, Calls } from '../../support/clients/clients.js';
import { until } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { stateOf } from '../../support/processes.js';

/**
 * RELEASEs without an event. By them the daemon learns that another request follows: it looks at
 * the 32nd (native/addon/device/read_again.h).
 */
const PLAIN = 40;
/**
 * With the rest of those, fewer requests than the daemon serves at one wake-up
 * (kRequestsPerWakeUp).
 */
const EVENTS = 90;
/**
 * Streams whose filters make an event cost about 0.4 ms, so that all events take far longer than
 * the daemon may hold one.
 */
const STREAMS = 10;
const SEARCHES = 8;
const VALUE = 'a'.repeat(500);
const ROUNDS = 5;

const held = mounted('an event', ['--source', 'none', '--transport', 'read']);

/** Opens streams whose filters are compared with each event and match none. */
function costlyStreams(): number[] {
  return Array.from({ length: STREAMS }, (_, stream) => {
    const searches = Array.from(
      { length: SEARCHES },
      (__, n) => `*aaa${stream}${String.fromCharCode(0x62 + n)}*`,
    );
    return openSync(
      `${daemon.path}/match/V==${searches.join('|')}`,
      constants.O_RDONLY | constants.O_NONBLOCK,
    );
  });
}

/** Opens `publish`, and writes an event without its end. */
function begun(n: number): number {
  const fd = openSync(`${daemon.path}/publish`, constants.O_WRONLY);
  writeSync(fd, 'add@/held\n');
  writeSync(fd, `N=${n}\nV=${VALUE}\n`);
  return fd;
}

/**
 * Stops the daemon, closes files that publish events, and lets it go on, again and again.
 * @param before how many of the files are closed before the reader begins to read; -1 if it blocks
 * already while the daemon runs
 * @returns how many events the first read of each round got
 */
async function firstReads(before: number): Promise<number[]> {
  const streams = costlyStreams();
  const reader = new Calls();
  await reader.open(1, `${daemon.path}/stream`);
  const counts: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const plain = Array.from({ length: PLAIN }, () =>
      openSync(`${daemon.path}/log/.status`, constants.O_RDONLY),
    );
    const events = Array.from({ length: EVENTS }, (_, n) => begun(n));
    const begin = async (): Promise<{ answer: Promise<Answer> }> => {
      const answer = reader.begin('read', 1, 65_536);
      await reader.sleeps();
      return { answer };
    };
    const blocked = before < 0 ? await begin() : null;
    daemon.process.kill('SIGSTOP');
    let first: { answer: Promise<Answer> };
    try {
      await until(() => stateOf(daemon.pid) === 'T', 'the daemon does not stop');
      for (const fd of [...plain, ...events.splice(0, Math.max(before, 0))]) closeSync(fd);
      first = blocked ?? (await begin());
      for (const fd of events) closeSync(fd);
    } finally {
      daemon.process.kill('SIGCONT');
    }
    const got = (await first.answer).bytes.split('\n\n').length - 1;
    counts.push(got);
    for (let all = got; all < EVENTS;)
      all += (await reader.call('read', 1, 65_536)).bytes.split('\n\n').length - 1;
  }
  for (const fd of streams) closeSync(fd);
  await reader.end();
  return counts;
}

for (const [does, before] of [
  ['reaches a blocked reader before all requests behind it have been served', -1],
  ['reaches a read between the requests before most of those behind it have been served', 5],
] as const) {
  held(does, async () => {
    const counts = await firstReads(before);
    assert.ok(
      Math.min(...counts) > 0 && Math.max(...counts) < EVENTS / 2,
      `the first reads returned ${counts.join(', ')} of ${EVENTS} events`,
    );
  });
}

held.run();
