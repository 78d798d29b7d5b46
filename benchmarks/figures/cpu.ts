/**
 * Measures the daemon's CPU time a delivery at a modest rate. Subscribers block in reads of
 * `stream` and of their own `.stream`; as many use the socket outlet of the same daemon. The kinds
 * take turns. The programs are those of the comparison (benchmarks/programs).
 */
import { rmdirSync } from 'node:fs';
import { sum } from '../compare/designs/peer.js';
import { Program } from '../compare/program.js';
import { mountPoint, startDaemon } from '../../test/support/mount/daemon.js';
import { childrenOf } from '../../test/support/processes.js';
import { cpuNs } from '../daemon-costs.js';
import { type Benchmark, type Figure, figure } from '../figure.js';
import { median, ratios } from '../programs.js';

const SUBSCRIBERS = 256;
const EVENTS_PER_S = 50;
const EVENTS = 100;
const EVENT_BYTES = 300;
const ROUNDS = 5;
const TIMEOUT_MS = 30_000;

/** The modes of benchmarks/programs/subscribers.c. */
const MODES = ['messages', 'stream', 'own-stream'] as const;
const FILES = [
  ['stream', 'stream'],
  ['own-stream', '.stream of its own directory'],
] as const;

export const cpu: Benchmark = {
  name: 'cpu',
  run: async (say) => {
    const path = mountPoint();
    const socket = `${path}.socket`;
    const daemon = await startDaemon(['--source', 'none', '--socket', socket], path);
    try {
      const costs: Record<(typeof MODES)[number], number[]> = {
        messages: [],
        stream: [],
        'own-stream': [],
      };
      const publisher = await Program.start('publisher', [
        EVENT_BYTES,
        0,
        'file',
        `${path}/publish`,
      ]);
      try {
        for (let round = 0; round < ROUNDS; round++) {
          for (const mode of MODES) {
            say(`${SUBSCRIBERS} subscribers, ${mode}, round ${round + 1} of ${ROUNDS}`);
            costs[mode].push(
              await cpuPerDeliveryUs(
                daemon.pid,
                publisher,
                mode,
                mode === 'messages' ? socket : path,
              ),
            );
          }
        }
      } finally {
        await publisher.end();
      }
      return figuresOf(costs);
    } finally {
      await daemon.stop();
      rmdirSync(path);
    }
  },
};

function figuresOf(costs: Record<(typeof MODES)[number], number[]>): Figure[] {
  const label = `${SUBSCRIBERS} subscribers, ${EVENTS_PER_S} events/s, daemon CPU a delivery`;
  return [
    figure(`${label}: --socket`, median(costs.messages), ' us'),
    ...FILES.flatMap(([mode, title]) => [
      figure(`${label}: ${title}`, median(costs[mode]), ' us'),
      figure(
        `${label}: ${title}, against --socket`,
        median(ratios(costs[mode], costs.messages)),
        ' x',
        { atMost: 1 },
      ),
    ]),
  ];
}

/**
 * Returns the daemon's CPU time for each event that one subscriber got, its share of the publishing
 * included.
 */
async function cpuPerDeliveryUs(
  pid: number,
  publisher: Program,
  mode: (typeof MODES)[number],
  place: string,
): Promise<number> {
  const subscribers = await Program.start('subscribers', [mode, SUBSCRIBERS, place]);
  try {
    const got = async (published: number): Promise<number> =>
      (await subscribers.askNumbers(`await ${TIMEOUT_MS} ${published}`, 2 * TIMEOUT_MS)).get(
        'events',
      )!;
    const publish = async (line: string): Promise<number> =>
      (await publisher.askNumbers(line, TIMEOUT_MS)).get('published')!;
    const before = await got(await publish('burst 1'));
    const beforeNs = managerNs(pid);
    const after = await got(await publish(`rate ${EVENTS_PER_S} ${EVENTS}`));
    const usedNs = managerNs(pid) - beforeNs;
    if (after - before !== SUBSCRIBERS * EVENTS)
      throw new Error(`${after - before} of ${SUBSCRIBERS * EVENTS} deliveries`);
    return usedNs / (after - before) / 1000;
  } finally {
    await subscribers.end();
  }
}

/** Returns the CPU time of the daemon and its helpers, in nanoseconds. */
function managerNs(pid: number): number {
  return sum([pid, ...childrenOf(pid)].map(cpuNs));
}
