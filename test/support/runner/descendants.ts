/** Finds in /proc the processes that a test file has started, directly or not, and ends them. */
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

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
  const parents = new Map<number, number>();
  const members: number[] = [];
  for (const pid of readdirSync('/proc')
    .map(Number)
    .filter((number) => number > 0)) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      const [state, parent, group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (state === 'Z') continue;
      parents.set(pid, Number(parent));
      if (Number(group) === process.pid && pid !== process.pid) members.push(pid);
    } catch {
      // The process has ended meanwhile.
    }
  }
  const found = new Set(members);
  for (let before = -1; before !== found.size;) {
    before = found.size;
    for (const [pid, parent] of parents)
      if (parent === process.pid || found.has(parent)) found.add(pid);
  }
  return [...found];
}
