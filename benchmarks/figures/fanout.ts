/**
 * Measures one event after the other to many readers of `stream`, against a bare push over as many
 * sockets and against the bare C loop.
 */
import { cpuNs } from '../daemon-costs.js';
import { type Benchmark, type Figure, figure } from '../figure.js';
import { measure, measureOne, median, ratios, withDaemon, withFloor } from '../programs.js';
import { eventText, publish } from '../../test/support/clients/clients.js';
import { type Daemon } from '../../test/support/mount/daemon.js';
import { Opener } from '../opener.js';

const EVENT_BYTES = 300;
const SECONDS = 2;
const ROUNDS = 5;
/**
 * Saturation needs more than one publisher: the scheduler runs a single one only as often as each
 * reader.
 */
const PUBLISHERS = [1, 2, 4, 8];
/** The number of publishers at which the bars apply. */
const JUDGED = 4;

export const fanout: Benchmark = {
  name: 'fanout',
  run: (say) =>
    withDaemon('none', [], async (daemon) => [
      ...(await saturationFigures(daemon, 64, PUBLISHERS, say)),
      ...(await saturationFigures(daemon, 256, [JUDGED], say)),
      ...(await lagFigures(daemon, say)),
      ...(await idleFigures(daemon, say)),
    ]),
};

type Say = (progress: string) => void;

/**
 * Measures readers that are blocked when events come. Publishers write one event after the other.
 */
async function saturationFigures(
  daemon: Daemon,
  readers: number,
  publishers: readonly number[],
  say: Say,
): Promise<Figure[]> {
  return withFloor(['park', '--readers', readers, '--bytes', EVENT_BYTES], [], async (floor) => {
    const parked: number[] = [];
    const pushed: number[] = [];
    const single: number[] = [];
    const ours = publishers.map(() => ({
      reads: [] as number[],
      events: [] as number[],
      unexplained: 0,
    }));
    for (let round = 0; round < ROUNDS; round++) {
      say(`${readers} readers, round ${round + 1} of ${ROUNDS}`);
      parked.push(
        await measureOne(
          'readers',
          [`${floor.path}/stream`, readers, SECONDS, EVENT_BYTES],
          'reads_per_s',
        ),
      );
      pushed.push(await measureOne('push', [readers, SECONDS, EVENT_BYTES], 'events_per_s'));
      single.push(
        (
          await read(daemon, readers, EVENT_BYTES, ['--publishers', JUDGED, '--read', EVENT_BYTES])
        ).get('events_per_s') ?? NaN,
      );
      for (const [index, count] of publishers.entries()) {
        const run = await read(daemon, readers, EVENT_BYTES, ['--publishers', count]);
        ours[index].reads.push(run.get('reads_per_s') ?? NaN);
        ours[index].events.push(run.get('events_per_s') ?? NaN);
        ours[index].unexplained += run.get('disorder') ?? NaN;
      }
    }
    const figures: Figure[] = [
      figure(`bare C loop, ${readers} parked readers, reads`, median(parked), ' /s'),
      figure(`bare C push over ${readers} sockets, events`, median(pushed), ' /s'),
      figure(
        `${readers} readers that take one event a read: against the push`,
        median(ratios(single, pushed)),
        ' x',
      ),
    ];
    for (const [index, count] of publishers.entries()) {
      const { reads, events, unexplained } = ours[index];
      const bar = (atLeast: number) => (count === JUDGED ? { atLeast } : undefined);
      const label = `${readers} readers, ${count} publisher${count > 1 ? 's' : ''}`;
      figures.push(
        figure(`${label}: events delivered`, median(events), ' /s'),
        figure(`${label}: events, against the push`, median(ratios(events, pushed)), ' x', bar(3)),
        figure(`${label}: reads answered, against the loop`, median(ratios(reads, parked)), ' x'),
        figure(`${label}: out of order, or missing without LOST`, unexplained, '', { atMost: 0 }),
      );
    }
    return figures;
  });
}

const LAGGING = 16;
const LAG_BYTES = 160;

/** Measures readers that find many events at each read. Publishers write many at once. */
async function lagFigures(daemon: Daemon, say: Say): Promise<Figure[]> {
  const against: number[] = [];
  const events: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    say(`readers that lag, round ${round + 1} of ${ROUNDS}`);
    const pushed = await measureOne('push', [LAGGING, SECONDS, LAG_BYTES], 'events_per_s');
    const run = await read(daemon, LAGGING, LAG_BYTES, [
      '--publishers',
      2,
      '--batch',
      400,
      '--read',
      1024 * 1024,
      '--pause',
      2000,
    ]);
    events.push(run.get('events_per_s') ?? NaN);
    against.push(events[round] / pushed);
  }
  return [
    figure(`${LAGGING} readers that lag, ${LAG_BYTES} B: events delivered`, median(events), ' /s'),
    figure(`${LAGGING} readers that lag, ${LAG_BYTES} B: against the push`, median(against), ' x', {
      atLeast: 10,
    }),
  ];
}

const IDLE = 1000;
const EVENTS = 5000;
const IDLE_ROUNDS = 9;

/** Measures the daemon's CPU time an event when streams are open and not read. */
async function idleFigures(daemon: Daemon, say: Say): Promise<Figure[]> {
  const [one, many]: number[][] = [[], []];
  for (let round = 0; round < IDLE_ROUNDS; round++) {
    say(`streams without a reader, round ${round + 1} of ${IDLE_ROUNDS}`);
    one.push(await cpuWithIdleUs(daemon, 1));
    many.push(await cpuWithIdleUs(daemon, IDLE));
  }
  return [
    figure(
      'publishing to one stream without a blocked reader, daemon CPU an event',
      median(one),
      ' us',
    ),
    figure(`publishing to ${IDLE} of them, against that`, median(ratios(many, one)), ' x', {
      atMost: 1.2,
    }),
  ];
}

async function cpuWithIdleUs(daemon: Daemon, count: number): Promise<number> {
  const events = Array.from({ length: EVENTS }, (_, n) => eventText('/devices/n', { N: n }));
  const opener = await Opener.of(`${daemon.path}/stream`, count);
  // The first round also does the work that opening the streams has deferred, so it is not
  // measured.
  publish(daemon.path, ...events);
  const before = cpuNs(daemon.pid);
  publish(daemon.path, ...events);
  const us = (cpuNs(daemon.pid) - before) / EVENTS / 1000;
  await opener.end();
  return us;
}

function read(
  daemon: Daemon,
  readers: number,
  bytes: number,
  more: readonly (string | number)[],
): Promise<Map<string, number>> {
  return measure('readers', [
    `${daemon.path}/stream`,
    readers,
    SECONDS,
    bytes,
    '--publish',
    `${daemon.path}/publish`,
    ...more,
  ]);
}
