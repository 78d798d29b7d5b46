/**
 * Finds the daemon's threads that wait for an object on their own stack, by proc_pid_syscall(5).
 * Among libfuse's threads these are the threads that wait for the lock of a path (fuse.c,
 * wait_path), and the thread that waits for all others to end.
 */
import { readFileSync, readdirSync } from 'node:fs';

/** How far above the stack pointer the object may lie, in bytes: a few frames of libfuse. */
const NEAR_BYTES = 16 * 1024;

/** Returns the ids of the threads that wait for an object on their own stack now. */
export function stackWaiters(): number[] {
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
