/** What open+read+close and stat of an event cost on one CPU, against the bare C loop and against fuse-native. */
import { type Benchmark, type Figure, figure } from '../figure.js';
import { ONE_CPU, measure, median, withDaemon, withEvent, withFloor } from '../programs.js';

const ROUNDS = 7;
const COUNT = 20_000;
const EVENT_BYTES = 300;

/** The same event by the three ways. */
interface Paths {
  readonly ours: string;
  readonly floor: string;
  readonly fuseNative: string;
}

export const operations: Benchmark = {
  name: 'operations',
  run: (say) =>
    withPaths(async (paths) => {
      const figures: Figure[] = [];
      for (const [operation, what] of [['open', 'open+read+close'], ['stat', 'stat']] as const) {
        const costs = { ours: [] as number[], floor: [] as number[], fuseNative: [] as number[] };
        // In turns, so that what else the machine does falls on all.
        for (let round = 0; round < ROUNDS; round++) {
          say(`${what}, round ${round + 1} of ${ROUNDS}`);
          for (const way of ['floor', 'ours', 'fuseNative'] as const) costs[way].push(await costUs(operation, paths[way]));
        }
        const { ours, floor, fuseNative } = costs;
        figures.push(
          figure(`${what}, one CPU`, median(ours), ' us'),
          figure(`${what}, bare C loop`, median(floor), ' us'),
          figure(`${what}, ratio`, median(ours.map((us, round) => us / floor[round])), ' x', { atMost: 1.25 }),
          figure(`${what}, --driver fuse-native`, median(fuseNative), ' us'),
          figure(`${what}, how many times as fast as fuse-native`, median(ours.map((us, round) => fuseNative[round] / us)), ' x', { atLeast: 3 }),
        );
      }
      return figures;
    }),
};

async function withPaths<T>(work: (paths: Paths) => Promise<T>): Promise<T> {
  return withFloor(['files'], ONE_CPU, (floor) =>
    withDaemon('none', ONE_CPU, (daemon) =>
      withEvent(daemon, EVENT_BYTES, (ours) =>
        withDaemon('none', ONE_CPU, (slower) =>
          withEvent(slower, EVENT_BYTES, (fuseNative) => work({ ours, fuseNative, floor: `${floor.path}/1234/1041` })), 'fuse-native'),
      ),
    ),
  );
}

async function costUs(operation: string, path: string): Promise<number> {
  return (await measure('client', [operation, path, COUNT], ONE_CPU)).get('us') ?? NaN;
}
