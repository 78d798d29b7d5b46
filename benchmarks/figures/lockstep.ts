/**
 * Measures one event to many blocked readers of `stream`. The next event follows when all readers
 * have it and read again: exactly one event a read. A bare push over as many sockets, which need
 * not wait for a reader, and the bare C loop, which waits for all its readers as well, are measured
 * too.
 */
import { type Benchmark, type Figure, figure } from '../figure.js';
import { measure, measureOne, median, ratios, withDaemon, withFloor } from '../programs.js';
import type { Daemon } from '../../test/support/mount/daemon.js';

const EVENT_BYTES = 300;
const SECONDS = 2;
const ROUNDS = 5;
/**
 * The size of a read: libudev reads with 8 KiB, which no uevent fills. Direct I/O pins all pages of
 * the buffer, so a reader with a larger buffer pays for it when it gets one event only. That is
 * measured too.
 */
const READ_BYTES = 8 * 1024;
const LARGE_READ_BYTES = 64 * 1024;

export const lockstep: Benchmark = {
  name: 'lockstep',
  run: (say) =>
    withDaemon('none', [], async (daemon) => [
      ...(await figuresOf(daemon, 64, say)),
      ...(await figuresOf(daemon, 256, say)),
    ]),
};

async function figuresOf(
  daemon: Daemon,
  readers: number,
  say: (progress: string) => void,
): Promise<Figure[]> {
  return withFloor(['park', '--readers', readers, '--bytes', EVENT_BYTES], [], async (floor) => {
    const [parked, pushed, pushedInStep, ours, large]: number[][] = [[], [], [], [], []];
    const singles: number[] = [];
    let unexplained = 0;
    for (let round = 0; round < ROUNDS; round++) {
      say(`${readers} readers, round ${round + 1} of ${ROUNDS}`);
      parked.push(
        await measureOne(
          'readers',
          [`${floor.path}/stream`, readers, SECONDS, EVENT_BYTES, '--read', READ_BYTES],
          'reads_per_s',
        ),
      );
      pushed.push(await measureOne('push', [readers, SECONDS, EVENT_BYTES], 'events_per_s'));
      pushedInStep.push(
        await measureOne('push', [readers, SECONDS, EVENT_BYTES, '--lock-step'], 'events_per_s'),
      );
      const run = await read(daemon, readers, READ_BYTES);
      ours.push(run.get('events_per_s') ?? NaN);
      large.push((await read(daemon, readers, LARGE_READ_BYTES)).get('events_per_s') ?? NaN);
      singles.push(run.get('single_reads') ?? NaN);
      unexplained += run.get('disorder') ?? NaN;
    }
    const label = `${readers} blocked readers, one event a read`;
    return [
      figure(`bare C push over ${readers} sockets, events`, median(pushed), ' /s'),
      figure(`the same, when the push waits for all before the next`, median(pushedInStep), ' /s'),
      figure(`bare C loop, ${readers} parked readers, reads`, median(parked), ' /s'),
      figure(`${label}: events delivered`, median(ours), ' /s'),
      figure(`${label}: against the push`, median(ratios(ours, pushed)), ' x', { atLeast: 0.8 }),
      figure(
        `${label}: against the push, when they ask for ${LARGE_READ_BYTES / 1024} KiB`,
        median(ratios(large, pushed)),
        ' x',
      ),
      figure(
        `${label}: against the push that waits for all too`,
        median(ratios(ours, pushedInStep)),
        ' x',
      ),
      figure(`${label}: against the loop`, median(ratios(ours, parked)), ' x'),
      figure(`${label}: the loop against the push`, median(ratios(parked, pushed)), ' x'),
      figure(`${label}: share of reads that returned exactly one`, median(singles), '', {
        atLeast: 0.99,
      }),
      figure(`${label}: out of order, or missing without LOST`, unexplained, '', { atMost: 0 }),
    ];
  });
}

function read(daemon: Daemon, readers: number, most: number): Promise<Map<string, number>> {
  const args = [
    `${daemon.path}/stream`,
    readers,
    SECONDS,
    EVENT_BYTES,
    '--publish',
    `${daemon.path}/publish`,
    '--lock-step',
    '--read',
    most,
  ];
  return measure('readers', args);
}
