/**
 * How long events are kept from their readers while requests go on (native/addon/fuse/serve_loop.cc, kMaxDeferredNs): a reader is woken for
 * many events at once, but not for as many as come before the requests end.
 *
 * A stopped daemon lets a close(2) return, and gets its RELEASE later. So the requests wait in the kernel when the daemon takes the
 * first of them, and it finds another behind each. The RELEASE of a `publish` in which a header waits is an event. What the reader's
 * first read brings says when it was woken, however late the machine runs it.
 */
import * as assert from 'uvu/assert';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { stateOf } from '../../support/actor.js';
import { Calls } from '../../support/clients.js';
import { until } from '../../support/daemon.js';
import { daemon, mounted } from '../../support/mounted.js';

/** RELEASEs without an event, with which the daemon learns that another follows: it tries at the 32nd (native/addon/fuse/read_again.h). */
const PLAIN = 40;
/** With what is left of those, fewer than the daemon serves at one wake-up (kRequestsPerWakeUp). */
const EVENTS = 90;
/** Streams whose filters make an event cost about 0.4 ms: so many that all of them take far longer than an event may be held. */
const STREAMS = 10;
const SEARCHES = 8;
const VALUE = 'a'.repeat(500);
const ROUNDS = 5;

const held = mounted('an event', ['--source', 'none', '--transport', 'read']);

/** Filters that no event matches, and that each event is compared with. */
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

/** A `publish` in which an event waits for its end. */
function begun(n: number): number {
  const fd = openSync(`${daemon.path}/publish`, constants.O_WRONLY);
  writeSync(fd, 'add@/held\n');
  writeSync(fd, `N=${n}\nV=${VALUE}\n`);
  return fd;
}

held('is not kept from a reader that waits until the requests behind it have ended', async () => {
  const streams = costlyStreams();
  const reader = new Calls();
  await reader.open(1, `${daemon.path}/stream`);
  const counts: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const plain = Array.from({ length: PLAIN }, () =>
      openSync(`${daemon.path}/log/.status`, constants.O_RDONLY),
    );
    const events = Array.from({ length: EVENTS }, (_, n) => begun(n));
    const first = reader.begin('read', 1, 65_536);
    await reader.sleeps();
    daemon.process.kill('SIGSTOP');
    try {
      await until(() => stateOf(daemon.pid) === 'T', 'the daemon does not stop');
      for (const fd of [...plain, ...events]) closeSync(fd);
    } finally {
      daemon.process.kill('SIGCONT');
    }
    const got = (await first).bytes.split('\n\n').length - 1;
    counts.push(got);
    for (let all = got; all < EVENTS;)
      all += (await reader.call('read', 1, 65_536)).bytes.split('\n\n').length - 1;
  }
  assert.ok(
    Math.min(...counts) > 0 && Math.max(...counts) < EVENTS / 2,
    `the first reads brought ${counts.join(', ')} of ${EVENTS} events`,
  );
  for (const fd of streams) closeSync(fd);
  await reader.end();
});

held.run();
