/**
 * Which threads of ours wait for something that lies on their own stack, by proc_pid_syscall(5). Among libfuse's threads that
 * is who waits for the lock of a path (fuse.c, wait_path), and the one that waits for all the others to end.
 */
import { readFileSync, readdirSync } from 'node:fs';

/** How far above the stack pointer what a thread waits for may lie: a few of libfuse's frames. */
const NEAR_BYTES = 16 * 1024;

/** The ids of the threads that wait so now. */
export function stackWaiters(): number[] {
  return readdirSync('/proc/self/task').map(Number).filter(isStackWaiter);
}

function isStackWaiter(thread: number): boolean {
  let fields: string[];
  try {
    fields = readFileSync(`/proc/self/task/${thread}/syscall`, 'latin1').split(' ');
  } catch {
    return false; // it has ended
  }
  // The call's number, six arguments, the stack pointer; or only `running`.
  const [waitsFor, stack] = [Number(fields[1]), Number(fields[7])];
  return waitsFor >= stack && waitsFor < stack + NEAR_BYTES;
}
