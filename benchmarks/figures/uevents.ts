/**
 * Measures the latency of a real uevent to a blocked reader of a stream, against a bare netlink
 * listener.
 */
import { type Benchmark, figure } from '../figure.js';
import { measure, median, withDaemon } from '../programs.js';

const ROUNDS = 5;
const EVENTS = 1000;

export const uevents: Benchmark = {
  name: 'uevents',
  run: (say) =>
    withDaemon('kernel', [], async (daemon) => {
      const runs: Map<string, number>[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        say(`round ${round + 1} of ${ROUNDS}: ${EVENTS} uevents to each`);
        runs.push(await measure('uevent', [EVENTS, `${daemon.path}/stream`]));
      }
      const of = (key: string): number => median(runs.map((run) => run.get(key) ?? NaN));
      return [
        figure('uevent to a bare netlink listener, median', of('netlink_us'), ' us'),
        figure('uevent to a blocked stream reader, median', of('stream_us'), ' us'),
        figure('the same, 99th percentile', of('stream_p99_us'), ' us'),
        figure('ratio of the medians', of('ratio'), ' x', { atMost: 2.5 }),
        figure('events that did not come', of('stream_missing'), '', { atMost: 0 }),
      ];
    }),
};
