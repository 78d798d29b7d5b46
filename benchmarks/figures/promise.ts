/**
 * Kills 10,000 owners and waits for them. Counts answers to accesses to their things, and measures
 * how soon the daemon frees these.
 */
import { type Benchmark, figure } from '../figure.js';
import { measure, withDaemon } from '../programs.js';

const DEATHS = 10_000;
const REAPED = 1000;

export const promise: Benchmark = {
  name: 'promise',
  run: (say) =>
    withDaemon('none', [], async (daemon) => {
      say(`killing ${DEATHS} owners`);
      const deaths = await measure('deaths', [daemon.path, DEATHS]);
      const count = (key: string): number => deaths.get(key) ?? NaN;
      say(`waiting for ${REAPED} owners to be reaped`);
      const reap = await measure('reap', [daemon.path, daemon.pid, REAPED]);
      return [
        figure(
          `stale successes of ${count('accesses').toLocaleString('en')} accesses after death`,
          count('stale'),
          '',
          { atMost: 0 },
        ),
        figure('reads that stayed blocked after death', count('stuck'), '', { atMost: 0 }),
        figure('errors that are neither ENOENT nor ESTALE', count('wrong_errno'), '', {
          atMost: 0,
        }),
        figure(
          'death to release, no access to the mount, median',
          reap.get('median_ms') ?? NaN,
          ' ms',
          { atMost: 10 },
        ),
        figure('the same, 99th percentile', reap.get('p99_ms') ?? NaN, ' ms'),
        figure(`still listed after the release, of ${REAPED}`, reap.get('listed') ?? NaN, '', {
          atMost: 0,
        }),
      ];
    }),
};
