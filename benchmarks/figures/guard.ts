/**
 * Measures `eventfs mount --guard`: the time in which no daemon serves, the cost of an operation
 * against the same transport without a guardian, and the distance to io_uring.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, rmdirSync, statfsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Benchmark, type Figure, figure } from '../figure.js';
import { measureOne, median, ratios, withEvent } from '../programs.js';
import { type Daemon, Shell, run, startDaemon, until } from '../../test/support/mount/daemon.js';
import { isDead } from '../../test/support/processes.js';

const DIRECTORIES = 100;
const EVENTS = 10_000;
const STREAMS = 16;
const KILLS = 11;
const STANDBY_TIMEOUT_MS = 20_000;
const EVENT_BYTES = 300;
const ROUNDS = 7;
const OPERATIONS = 10_000;
const READERS = 64;
const SECONDS = 2;
/** Clients look at their first events meanwhile. */
const PAUSE_MS = 500;

type Say = (progress: string) => void;

export const guard: Benchmark = {
  name: 'guard',
  run: async (say) => [
    ...(await outages([], 300, say)),
    ...(await outages(['--standby'], 50, say)),
    ...(await costs(say)),
  ],
};

async function withMount<T>(
  args: readonly string[],
  work: (daemon: Daemon) => Promise<T>,
): Promise<T> {
  const daemon = await startDaemon(['--source', 'none', ...args]);
  try {
    return await work(daemon);
  } finally {
    await daemon.stop();
    rmdirSync(daemon.path);
  }
}

// ---- the time without service

async function outages(args: readonly string[], atMost: number, say: Say): Promise<Figure[]> {
  const options = ['--guard', '--guard-limit', '1000:1', ...args];
  return withMount(options, async ({ path }) => {
    const clients = await load(path);
    const ms: number[] = [];
    try {
      for (let kill = 0; kill < KILLS; kill++) {
        say(`${options.join(' ')}: kill ${kill + 1} of ${KILLS}`);
        if (args.length > 0)
          await until(() => line(path, 'STANDBY') === '1', 'no standby', STANDBY_TIMEOUT_MS);
        await sleep(PAUSE_MS);
        ms.push(outage(Number(line(path, 'DAEMON'))));
        statfsSync(path);
      }
      const label = `without service after a kill, ${['--guard', ...args].join(' ')}`;
      return [
        figure(`${label}, median of ${KILLS}`, median(ms), ' ms', { atMost }),
        figure(`${label}, the longest`, Math.max(...ms), ' ms'),
        figure(`${label}: events held afterwards`, Number(line(path, 'DIRECTORIES_PENDING')), '', {
          atLeast: EVENTS,
        }),
        figure(`${label}: streams afterwards`, Number(line(path, 'STREAMS')), '', {
          atLeast: STREAMS,
        }),
      ];
    } finally {
      for (const client of clients) client.kill('SIGKILL');
    }

    /** Kills the daemon, and waits for the answer to a system call that began after its death. */
    function outage(pid: number): number {
      process.kill(pid, 'SIGKILL');
      const start = performance.now();
      while (!isDead(pid));
      statfsSync(path);
      return performance.now() - start;
    }
  });
}

/** Returns a value of `log/.status`. */
function line(path: string, key: string): string | undefined {
  return new RegExp(`^${key}=(.*)$`, 'm').exec(readFileSync(`${path}/log/.status`, 'latin1'))?.[1];
}

/** Starts owners of directories that hold events, and readers of the stream. */
async function load(path: string): Promise<readonly ChildProcess[]> {
  const owners = Array.from({ length: DIRECTORIES }, () => spawn('sleep', ['100000']));
  const pids = owners.map(({ pid }) => `${path}/${pid}`);
  await run(['mkdir', ...pids]);
  const readers = Array.from({ length: STREAMS }, () =>
    spawn('cat', [`${path}/stream`], { stdio: 'ignore' }),
  );
  await until(
    () => line(path, 'STREAMS') === String(STREAMS),
    'the readers did not open the stream',
  );
  // An event that all directories hold counts once for each
  const publisher = new Shell();
  await publisher.run(
    `for i in $(seq ${EVENTS / DIRECTORIES}); do printf 'add@/x\\nACTION=add\\nDEVPATH=/x\\n' > ${path}/publish; done`,
    STANDBY_TIMEOUT_MS,
  );
  await publisher.kill();
  return [...owners, ...readers];
}

// ---- the cost without a death

async function costs(say: Say): Promise<Figure[]> {
  return withMount(['--guard'], (guarded) =>
    withMount(['--transport', 'read'], (plain) =>
      withMount(['--transport', 'auto'], (ring) => compare(say, guarded, plain, ring)),
    ),
  );
}

async function compare(say: Say, ...mounts: readonly [Daemon, Daemon, Daemon]): Promise<Figure[]> {
  const figures: Figure[] = [];
  const [guarded, plain, ring] = mounts;
  for (const [what, program] of [
    ['open+read+close', 'open'],
    ['stat', 'stat'],
  ] as const) {
    const us = await rounds(say, what, mounts, (daemon) =>
      withEvent(daemon, EVENT_BYTES, (event) =>
        measureOne('client', [program, event, OPERATIONS], 'us'),
      ),
    );
    figures.push(
      figure(`${what}: --guard`, median(us.get(guarded)!), ' us'),
      figure(
        `${what}: --guard against --transport read`,
        median(ratios(us.get(guarded)!, us.get(plain)!)),
        ' x',
        { atMost: 1.05 },
      ),
      figure(
        `${what}: --guard against --transport auto`,
        median(ratios(us.get(guarded)!, us.get(ring)!)),
        ' x',
      ),
    );
  }
  const events = await rounds(say, 'lock step', mounts, (daemon) =>
    measureOne(
      'readers',
      [
        `${daemon.path}/stream`,
        READERS,
        SECONDS,
        EVENT_BYTES,
        '--publish',
        `${daemon.path}/publish`,
        '--lock-step',
      ],
      'events_per_s',
    ),
  );
  const label = `${READERS} blocked readers, one event a read`;
  return [
    ...figures,
    figure(`${label}: --guard`, median(events.get(guarded)!), ' /s'),
    figure(
      `${label}: --guard against --transport read`,
      median(ratios(events.get(guarded)!, events.get(plain)!)),
      ' x',
      { atLeast: 0.95 },
    ),
    figure(
      `${label}: --guard against --transport auto`,
      median(ratios(events.get(guarded)!, events.get(ring)!)),
      ' x',
    ),
  ];
}

/** Measures each mount in each round. */
async function rounds(
  say: Say,
  what: string,
  mounts: readonly Daemon[],
  measure: (daemon: Daemon) => Promise<number>,
): Promise<ReadonlyMap<Daemon, number[]>> {
  const values = new Map<Daemon, number[]>(mounts.map((daemon) => [daemon, []]));
  for (let round = 0; round < ROUNDS; round++) {
    say(`${what}: round ${round + 1} of ${ROUNDS}`);
    for (const daemon of mounts) values.get(daemon)!.push(await measure(daemon));
  }
  return values;
}
