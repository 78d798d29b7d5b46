/**
 * Runs the test of killed daemons (start, mount, use, SIGKILL, start again) with more rounds than a
 * test run has time for.
 */
import { join } from 'node:path';
import { type Benchmark, type Figure } from '../figure.js';
import { PROJECT, run } from '../../test/support/mount/daemon.js';

const ROUNDS = 1000;
const TIMEOUT_MS = 1_800_000;

export const restarts: Benchmark = {
  name: 'restarts',
  run: async (say) => {
    say(`${ROUNDS} rounds`);
    const file = join(PROJECT, 'dist/test/mounted/lifecycle/killed.test.js');
    const { out, err, code } = await run([process.execPath, file], {
      timeoutMs: TIMEOUT_MS,
      env: { ...process.env, EVENTFS_ROUNDS: String(ROUNDS), NO_COLOR: '1' },
    });
    const figures: Figure[] = [...out.matchAll(/^ {2}figure: (.*)$/gm)].map(([, text]) => ({
      what: text,
      measured: '',
      bar: '',
    }));
    if (code !== 0) console.error(out + err);
    return [
      ...figures,
      {
        what: `${ROUNDS} starts after a kill leave nothing behind`,
        measured: code === 0 ? 'yes' : 'no',
        bar: 'yes',
        met: code === 0,
      },
    ];
  },
};
