/** What open+read+close and stat of an event cost on one CPU, against the bare C loop. */
import { type Benchmark, type Figure, figure } from '../figure.js';
import { ONE_CPU, measure, median, withDaemon, withEvent, withFloor } from '../programs.js';

const ROUNDS = 7;
const COUNT = 20_000;
const EVENT_BYTES = 300;

export const operations: Benchmark = {
  name: 'operations',
  run: (say) =>
    withFloor(['files'], ONE_CPU, (floor) =>
      withDaemon('none', ONE_CPU, (daemon) =>
        withEvent(daemon, EVENT_BYTES, async (path) => {
          const figures: Figure[] = [];
          for (const [operation, what] of [['open', 'open+read+close'], ['stat', 'stat']] as const) {
            const ours: number[] = [];
            const floors: number[] = [];
            // In turns, so that what else the machine does falls on both.
            for (let round = 0; round < ROUNDS; round++) {
              say(`${what}, round ${round + 1} of ${ROUNDS}`);
              floors.push(await costUs(operation, `${floor.path}/1234/1041`));
              ours.push(await costUs(operation, path));
            }
            const ratios = ours.map((us, round) => us / floors[round]);
            figures.push(
              figure(`${what}, one CPU`, median(ours), ' us'),
              figure(`${what}, bare C loop`, median(floors), ' us'),
              figure(`${what}, ratio`, median(ratios), ' x', { atMost: 1.25 }),
            );
          }
          return figures;
        }),
      ),
    ),
};

async function costUs(operation: string, path: string): Promise<number> {
  return (await measure('client', [operation, path, COUNT], ONE_CPU)).get('us') ?? NaN;
}
