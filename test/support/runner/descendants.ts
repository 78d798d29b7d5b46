/** Finds in /proc the processes that a test file has started, directly or not, and ends them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { allProcesses } from '../processes.js';

/** The time to end after SIGTERM: a daemon unmounts. */
const TERM_MS = 2000;
/** The time to end after SIGKILL. */
const KILL_MS = 5000;

/**
 * Ends all descendants of this process, and the other members of its process group if it leads one:
 * by SIGTERM, and by SIGKILL after 2 s. Gives up after 7 s on a process that hangs in the kernel:
 * the runner aborts the mount that it waits for.
 */
export async function endDescendants(): Promise<void> {
  const started = Date.now();
  for (let left = descendants(); left.length > 0; left = descendants()) {
    const waited = Date.now() - started;
    if (waited > TERM_MS + KILL_MS) return;
    for (const pid of left) {
      try {
        process.kill(pid, waited < TERM_MS ? 'SIGTERM' : 'SIGKILL');
      } catch {
        // The process has ended meanwhile.
      }
    }
    await sleep(100);
  }
}

/** Returns the living processes. Zombies do not count: their parents must wait for them. */
function descendants(): number[] {
  const living = allProcesses().filter(({ state }) => state !== 'Z');
  const found = new Set(
    living
      .filter(({ pid, group }) => group === process.pid && pid !== process.pid)
      .map(({ pid }) => pid),
  );
  for (let before = -1; before !== found.size;) {
    before = found.size;
    for (const { pid, parent } of living)
      if (parent === process.pid || found.has(parent)) found.add(pid);
  }
  return [...found];
}
