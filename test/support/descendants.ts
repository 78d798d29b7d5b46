/** What a test file has started, wherever it did that: found in /proc. */
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long processes have for ending by SIGTERM: a daemon unmounts. */
const TERM_MS = 2000;
/** How long they have for ending by SIGKILL. */
const KILL_MS = 5000;

/**
 * Ends this process's children, theirs, and what else is in its process group where it leads that: by SIGTERM, and by
 * SIGKILL after 2 s. Gives up on what hangs in the kernel: the runner aborts the mount that it waits for.
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
        // It has ended since.
      }
    }
    await sleep(100);
  }
}

/** Living processes: a zombie is for its parent to wait for. */
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
      // It has ended while we looked.
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
