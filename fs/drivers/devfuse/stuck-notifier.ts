/**
 * Finds out whether the notifier is stuck in the kernel.
 *
 * The notifier makes files in the directories of all users, and the kernel takes the directory's
 * lock for that. A user can hold this lock without end: getdents(2) has it while it writes to the
 * user's memory, which may be a mapped file of a filesystem that does not answer. Then no signal
 * ends the notifier's call. The daemon leaves such a notifier behind and starts another one.
 */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The time between two looks. */
export const LOOK_AFTER_MS = 50;
/**
 * A notifier that waits for the same lock at so many looks is stuck. While all is calm, the holder
 * may as well be a process that waits for a CPU of a busy machine, or for the answer of a daemon
 * that does.
 */
const LOOKS = { calm: 20, uneasy: 2 };

/**
 * The state of a process that waits for a lock of the kernel (proc_pid_stat(5)). A wait for the
 * daemon's answer is not of this kind, because the kernel lets signals interrupt it first
 * (fs/fuse/dev.c, request_wait_answer).
 */
const UNINTERRUPTIBLE = 'D';

/** Looks at a notifier from time to time. */
export class StuckCheck {
  /** How often the notifier had slept at the last look; null if it did not wait for a lock. */
  #sleeps: string | null = null;
  /** At how many looks it has waited for the same lock. */
  #looks = 0;

  /** Forgets the looks: a new batch is under way. */
  begin(): void {
    this.#sleeps = null;
  }

  /**
   * Returns whether the notifier has waited for the same lock at enough looks.
   * @param isCalm false if a notifier was stuck a short time ago
   */
  isStuck(pid: number, isCalm: boolean): boolean {
    const before = this.#sleeps;
    this.#sleeps = sleepsOf(pid);
    this.#looks = before !== null && this.#sleeps === before ? this.#looks + 1 : 1;
    return this.#looks >= (isCalm ? LOOKS.calm : LOOKS.uneasy);
  }
}

/** Returns how often the process has begun to wait, or null if it waits for no lock now. */
function sleepsOf(pid: number): string | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return null; // it has ended
  }
  const isWaiting = /^State:\t(.)/m.exec(text)?.[1] === UNINTERRUPTIBLE;
  return isWaiting ? (/^voluntary_ctxt_switches:\t(\d+)$/m.exec(text)?.[1] ?? null) : null;
}

/** Kills a notifier, and lets the daemon end before it. It ends when its system call does. */
export function leaveBehind(notifier: ChildProcess): void {
  notifier.kill('SIGKILL');
  notifier.stdin?.destroy();
  notifier.stdout?.destroy();
  notifier.unref();
}
