/** One event to 64 blocked readers of `stream`, over and over, against a push over 64 sockets and the bare C loop. */
import { type Benchmark, type Figure, figure } from '../figure.js';
import { measure, median, withDaemon, withFloor } from '../programs.js';

const READERS = 64;
const EVENT_BYTES = 300;
const SECONDS = 2;
const ROUNDS = 5;
/** Saturation takes more than one publisher: a single one is only scheduled as often as each of the readers. */
const PUBLISHERS = [1, 2, 4, 8];
/** The number of publishers that the bars are held against. */
const JUDGED = 4;

export const fanout: Benchmark = {
  name: 'fanout',
  run: (say) =>
    withFloor(['park', '--readers', READERS, '--bytes', EVENT_BYTES], [], (floor) =>
      withDaemon('none', [], async (daemon) => {
        const parked: number[] = [];
        const pushed: number[] = [];
        const ours = PUBLISHERS.map(() => ({ reads: [] as number[], events: [] as number[], unexplained: 0 }));
        for (let round = 0; round < ROUNDS; round++) {
          say(`round ${round + 1} of ${ROUNDS}`);
          parked.push(await value('readers', [`${floor.path}/stream`, READERS, SECONDS, EVENT_BYTES], 'reads_per_s'));
          pushed.push(await value('push', [READERS, SECONDS, EVENT_BYTES], 'events_per_s'));
          for (const [index, publishers] of PUBLISHERS.entries()) {
            const args = [`${daemon.path}/stream`, READERS, SECONDS, EVENT_BYTES, '--publish', `${daemon.path}/publish`];
            const run = await measure('readers', [...args, '--publishers', publishers]);
            ours[index].reads.push(run.get('reads_per_s') ?? NaN);
            ours[index].events.push(run.get('events_per_s') ?? NaN);
            ours[index].unexplained += run.get('disorder') ?? NaN;
          }
        }
        const figures: Figure[] = [
          figure(`bare C loop, ${READERS} parked readers, reads`, median(parked), ' /s'),
          figure(`bare C push over ${READERS} sockets, events`, median(pushed), ' /s'),
        ];
        for (const [index, publishers] of PUBLISHERS.entries()) {
          const { reads, events, unexplained } = ours[index];
          const bar = (atLeast: number) => (publishers === JUDGED ? { atLeast } : undefined);
          const label = `${publishers} publisher${publishers > 1 ? 's' : ''}`;
          figures.push(
            figure(`${label}: events delivered`, median(events), ' /s'),
            figure(`${label}: events, against the push`, median(ratio(events, pushed)), ' x', bar(1)),
            figure(`${label}: reads answered, against the loop`, median(ratio(reads, parked)), ' x', bar(0.9)),
            figure(`${label}: out of order, or missing without LOST`, unexplained, '', { atMost: 0 }),
          );
        }
        return figures;
      }),
    ),
};

async function value(program: string, args: readonly (string | number)[], key: string): Promise<number> {
  return (await measure(program, args)).get(key) ?? NaN;
}

function ratio(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.map((each, round) => each / theirs[round]);
}
