/**
 * Measures inotify of delivered events: its latency, and the daemon's CPU time with and without a
 * watcher.
 */
import { type Benchmark, figure } from '../figure.js';
import { measure, median, withDaemon } from '../programs.js';

const ROUNDS = 5;
const EVENTS = 2000;

export const inotify: Benchmark = {
  name: 'inotify',
  run: (say) =>
    withDaemon('none', [], async (daemon) => {
      const runs: Map<string, number>[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        say(`round ${round + 1} of ${ROUNDS}: ${EVENTS} events`);
        runs.push(await measure('inotify', [daemon.path, daemon.pid, EVENTS]));
      }
      const of = (key: string): number => median(runs.map((run) => run.get(key) ?? NaN));
      const extra = median(
        runs.map((run) => (run.get('asked_us') ?? NaN) - (run.get('unasked_us') ?? NaN)),
      );
      return [
        figure('publish to IN_CREATE, median', of('latency_us'), ' us'),
        figure('the same, 99th percentile', of('latency_p99_us'), ' us'),
        figure(
          'a watched event, CPU time of the daemon with publish',
          of('notice_daemon_us'),
          ' us',
        ),
        figure('the same, of the notifier', of('notice_helper_us'), ' us'),
        figure(
          'an event without a watcher, publish and a stat, CPU time of the daemon',
          of('unasked_us'),
          ' us',
        ),
        figure('more, if that stat is of the directory that gets the event', extra, ' us'),
      ];
    }),
};
