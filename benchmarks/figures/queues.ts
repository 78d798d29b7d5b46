/**
 * Measures queues: memory a link, CPU time a delivery, and reading and popping an event through
 * `head` with few and many waiting events.
 */
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { type WeighedDaemon, withWeighedDaemon } from '../daemon-costs.js';
import {
  EVENTS,
  EVENTS_AFTER,
  EVENT_BYTES,
  cpuPerEventUs,
  makeDirectories,
  texts,
} from '../directories.js';
import { type Benchmark, type Figure, figure } from '../figure.js';
import { ONE_CPU, measureOne, median, ratios, withDaemon, withFloor } from '../programs.js';
import { publish, statusOf } from '../../test/support/clients/clients.js';
import { Shell } from '../../test/support/mount/daemon.js';

const POPS = 20_000;
const ROUNDS = 5;

export const queues: Benchmark = {
  name: 'queues',
  run: async (say) => [
    ...(await popFigures(say)),
    ...(await linkFigures(say)),
    ...(await deliveryFigures(say)),
    ...(await depthFigures(say)),
  ],
};

type Say = (progress: string) => void;

/**
 * Measures open head, read, close and unlink head, against open, read and close alone in a bare C
 * loop.
 */
async function popFigures(say: Say): Promise<Figure[]> {
  const owner = new Shell([...ONE_CPU, 'bash']);
  try {
    return await withFloor(['files'], ONE_CPU, (floor) =>
      withDaemon('none', ONE_CPU, async (daemon) => {
        const directory = `${daemon.path}/${owner.pid}`;
        await owner.run(`mkdir ${directory}`);
        const pops: number[] = [];
        const against: number[] = [];
        for (let round = 0; round < ROUNDS; round++) {
          say(`pop, round ${round + 1} of ${ROUNDS}`);
          const bare = await measureOne(
            'client',
            ['open', `${floor.path}/1234/1041`, POPS],
            'us',
            ONE_CPU,
          );
          pops.push(await measureOne('client', ['pop', directory, POPS], 'us', ONE_CPU));
          against.push(pops[round] / bare);
        }
        return [
          figure('read and pop through head, one CPU', median(pops), ' us'),
          figure(
            'read and pop, against open+read+close of the bare C loop',
            median(against),
            ' x',
            { atMost: 3 },
          ),
        ];
      }),
    );
  } finally {
    await owner.kill();
  }
}

/** Numbers of waiting events; the last is the largest that a queue holds. */
const DEPTHS = [1, 100, 4096];
const DEEP_OPERATIONS = 1000;
const LISTINGS = 50;

const LISTING = 'listing, an event';
const DEEP_LABELS = [
  'read through head',
  'read by name',
  'read and pop through head',
  LISTING,
] as const;

/** Measures the same operations with few waiting events and with a full queue, in turns. */
async function depthFigures(say: Say): Promise<Figure[]> {
  const owner = new Shell([...ONE_CPU, 'bash']);
  try {
    return await withDaemon('none', ONE_CPU, async (daemon) => {
      const directory = `${daemon.path}/${owner.pid}`;
      const rounds: number[][][] = []; // By round, depth and label.
      for (let round = 0; round < ROUNDS; round++) {
        rounds.push([]);
        for (const depth of DEPTHS) {
          say(`${depth} events wait, round ${round + 1} of ${ROUNDS}`);
          rounds[round].push(await costsAt(directory, owner, depth));
        }
      }
      return DEEP_LABELS.flatMap((what, index) => {
        const costs = DEPTHS.map((_, at) => rounds.map((depths) => depths[at][index]));
        const last = DEPTHS.length - 1;
        const rows = DEPTHS.map((depth, at) =>
          figure(`${what}, ${depth.toLocaleString('en')} waiting`, median(costs[at]), ' us'),
        );
        if (what === LISTING) return rows; // Of one event it is mostly opendir and closedir.
        return [
          ...rows,
          figure(
            `${what}, ${DEPTHS[last].toLocaleString('en')} waiting, against 1`,
            median(ratios(costs[last], costs[0])),
            ' x',
          ),
        ];
      });
    });
  } finally {
    await owner.kill();
  }
}

/** Returns microseconds for each of DEEP_LABELS, in a queue in which `depth` events wait. */
async function costsAt(directory: string, owner: Shell, depth: number): Promise<number[]> {
  const us = (operation: string, path: string, count: number): Promise<number> =>
    measureOne('client', [operation, path, count], 'us', ONE_CPU);
  await owner.run(`rm -rf ${directory}; mkdir ${directory}`);
  publish(dirname(directory), ...texts(depth, 'mine'));
  const names = readdirSync(directory);
  if (names.length !== depth) throw new Error(`${names.length} of ${depth} events wait`);
  const head = await us('open', `${directory}/head`, DEEP_OPERATIONS);
  const named = await us('open', `${directory}/${names[depth >> 1]}`, DEEP_OPERATIONS);
  const listed = (await us('list', directory, LISTINGS)) / depth;
  // Makes room for the event that is published before each.
  await owner.run(`rm ${directory}/head`);
  const popped = await us('pop-each', directory, DEEP_OPERATIONS);
  return [head, named, popped, listed];
}

const DIRECTORIES = 1000;
const DELIVERED_TO = [10, 100, DIRECTORIES];

/**
 * Measures a million links: 1000 directories hold the same 1000 events, and then the ring moves on.
 */
async function linkFigures(say: Say): Promise<Figure[]> {
  say('a million links');
  const owner = new Shell();
  try {
    return await withWeighedDaemon([], async (daemon: WeighedDaemon) => {
      await makeDirectories(daemon, owner, DIRECTORIES, () => 'SUBSYSTEM==mine');
      publish(daemon.path, ...texts(EVENTS_AFTER, 'other'));
      const before = await daemon.weigh();
      publish(daemon.path, ...texts(EVENTS, 'mine'));
      publish(daemon.path, ...texts(EVENTS_AFTER, 'other'));
      const after = await daemon.weigh();
      const pending = Number(statusOf(`${daemon.path}/${owner.pid}.${DIRECTORIES - 1}`).PENDING);
      if (pending !== EVENTS) throw new Error(`a directory holds ${pending} events`);
      const links = DIRECTORIES * EVENTS;
      const text = after.arrayBuffers - before.arrayBuffers;
      const all = after.heapUsed + after.external - before.heapUsed - before.external;
      return [
        figure('event text held for 1,000,000 links to 1,000 events of 300 B', text, ' B', {
          atMost: EVENTS * (EVENT_BYTES + 64),
        }),
        figure('all memory held, a link', all / links, ' B', { atMost: 100 }),
        figure('resident size, a link', (after.rss - before.rss) / links, ' B'),
      ];
    });
  } finally {
    await owner.kill();
  }
}

/** Measures one event to many directories without a filter, and to none. */
async function deliveryFigures(say: Say): Promise<Figure[]> {
  const owner = new Shell();
  try {
    return await withDaemon('none', [], async (daemon) => {
      say('events without a recipient');
      publish(daemon.path, ...texts(EVENTS_AFTER, 'mine'));
      const alone = cpuPerEventUs(daemon, 'mine');
      const figures = [figure('one event without a recipient, daemon CPU', alone, ' us')];
      for (const [index, count] of DELIVERED_TO.entries()) {
        say(`deliveries to ${count} directories`);
        await makeDirectories(daemon, owner, count, () => '', DELIVERED_TO[index - 1]);
        publish(daemon.path, ...texts(EVENTS, 'mine'));
        const us = (cpuPerEventUs(daemon, 'mine') - alone) / count;
        figures.push(
          figure(
            `one event to ${count.toLocaleString('en')} directories, daemon CPU a directory`,
            us,
            ' us',
            count === DIRECTORIES ? { atMost: 1 } : undefined,
          ),
        );
      }
      return figures;
    });
  } finally {
    await owner.kill();
  }
}
