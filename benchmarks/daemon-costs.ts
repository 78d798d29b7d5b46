/**
 * Measures a daemon: its CPU time from outside, its memory after a forced collection from inside.
 */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Daemon, startDaemon, until } from '../test/support/mount/daemon.js';

const COLLECTION_TIMEOUT_MS = 30_000;

/**
 * Returns the CPU time of all threads of a process, in nanoseconds:
 * /proc/<pid>/task/<tid>/schedstat.
 */
export function cpuNs(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, tid) => {
    return sum + Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'latin1').split(' ')[0]);
  }, 0);
}

/** A daemon that reports its memory after a forced collection. */
export interface WeighedDaemon extends Daemon {
  weigh(): Promise<NodeJS.MemoryUsage>;
}

/**
 * Starts a daemon that can be weighed. Its `stop` removes its files too.
 * @param args options of `eventfs mount`
 * @param under a command that runs the daemon
 */
export async function startWeighedDaemon(
  args: readonly string[],
  under: readonly string[] = [],
): Promise<WeighedDaemon> {
  const scratch = mkdtempSync(join(tmpdir(), 'eventfs-heap-'));
  const file = join(scratch, 'heap.json');
  const probe = fileURLToPath(new URL('heap-probe.js', import.meta.url));
  const env = { NODE_OPTIONS: `--import=${probe}`, EVENTFS_HEAP_FILE: file };
  const daemon = await startDaemon(['--source', 'none', ...args], undefined, { env, under });
  const weigh = async (): Promise<NodeJS.MemoryUsage> => {
    rmSync(file, { force: true });
    process.kill(daemon.pid, 'SIGUSR2');
    await until(() => existsSync(file), 'the daemon was not weighed', COLLECTION_TIMEOUT_MS);
    return JSON.parse(readFileSync(file, 'utf8')) as NodeJS.MemoryUsage;
  };
  const stop = async (): Promise<number | null> => {
    const code = await daemon.stop();
    rmSync(scratch, { recursive: true });
    rmdirSync(daemon.path);
    return code;
  };
  return { ...daemon, weigh, stop };
}

/**
 * Runs `work` with a daemon that can be weighed, and stops the daemon even if `work` fails.
 * @param args options of `eventfs mount`
 * @returns the result of `work`
 */
export async function withWeighedDaemon<T>(
  args: readonly string[],
  work: (daemon: WeighedDaemon) => Promise<T>,
): Promise<T> {
  const daemon = await startWeighedDaemon(args);
  try {
    return await work(daemon);
  } finally {
    await daemon.stop();
  }
}
