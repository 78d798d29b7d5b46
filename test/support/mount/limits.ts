/** Limits of a daemon that runs. */
import { type Daemon, run } from './daemon.js';

/**
 * Changes a soft limit of a daemon by prlimit(1).
 * @returns a function that restores it
 */
export async function setLimit(
  { pid }: Pick<Daemon, 'pid'>,
  limit: 'nofile' | 'stack',
  soft: number,
): Promise<() => Promise<void>> {
  const prlimit = (...args: readonly string[]): ReturnType<typeof run> =>
    run(['prlimit', '--pid', String(pid), ...args]);
  const { out } = await prlimit(`--${limit}`, '--raw', '--noheadings', '-o', 'SOFT,HARD');
  const [before, hard] = out.trim().split(/\s+/);
  await prlimit(`--${limit}=${soft}:${hard}`);
  return async () => void (await prlimit(`--${limit}=${before}:${hard}`));
}
