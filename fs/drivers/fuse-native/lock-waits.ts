/**
 * Finds the daemon's threads that wait for an object on their own stack, by proc_pid_syscall(5).
 * Among libfuse's threads these are the threads that wait for the lock of a path (fuse.c,
 * wait_path), and the thread that waits for all others to end.
 */
import { readFileSync, readdirSync } from 'node:fs';

/** How far above the stack pointer the object may lie, in bytes: a few frames of libfuse. */
const NEAR_BYTES = 16 * 1024;

/**
 * Tells when a thread is stuck at the lock of a path. A read holds libfuse's lock on its path as
 * long as it waits. A rmdir(2) of its directory waits for that lock and can't be killed, and later
 * calls wait too. libfuse does not report this to fuse-native. But a thread that waits for a lock
 * at two looks in a row is stuck.
 */
export class LockWatch {
  /** The thread of libfuse that waits for the end of the others. */
  readonly #idle: ReadonlySet<number> = new Set(stackWaiters());
  /** The threads that waited for a lock at the last look. */
  #waiters = new Set<number>();

  /** Forgets the last look. */
  clear(): void {
    this.#waiters.clear();
  }

  /** Looks at all threads. Returns whether one waits for a lock that waited at the last look too. */
  look(): boolean {
    const waiters = stackWaiters().filter((thread) => !this.#idle.has(thread));
    const isStuck = waiters.some((thread) => this.#waiters.has(thread));
    this.#waiters = new Set(waiters);
    return isStuck;
  }
}

/** Returns the ids of the threads that wait for an object on their own stack now. */
function stackWaiters(): number[] {
  return readdirSync('/proc/self/task').map(Number).filter(isStackWaiter);
}

function isStackWaiter(thread: number): boolean {
  let fields: string[];
  try {
    fields = readFileSync(`/proc/self/task/${thread}/syscall`, 'latin1').split(' ');
  } catch {
    return false; // the thread has ended
  }
  // The number of the system call, six arguments, the stack pointer; or only `running`.
  const [waitsFor, stack] = [Number(fields[1]), Number(fields[7])];
  return waitsFor >= stack && waitsFor < stack + NEAR_BYTES;
}
