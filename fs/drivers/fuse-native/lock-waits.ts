/**
 * The daemon's threads that wait, by proc_pid_syscall(5): those that wait for an object on their
 * own stack, and the thread that serves a call, which knows its caller. Among libfuse's threads
 * these are the threads that wait for the lock of a path (fuse.c, wait_path), and the thread that
 * waits for all others to end.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { addressOf, callerOfThread } from '#native';
import type { Caller } from '../../owners/owners.js';

/** How far above the stack pointer the object may lie, in bytes: a few frames of libfuse. */
const NEAR_BYTES = 16 * 1024;
/** The signal that asks a thread for its caller. No other part of the daemon uses it. */
const CALLER_SIGNAL = 41;
/** How long to look for the thread, in milliseconds. It waits for its semaphore at once. */
const MOST_ASKING_MS = 50;
/** A uid or gid that is not known. */
const UNKNOWN_ID = -1;

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

  /**
   * Looks at all threads. Returns whether one waits for a lock that waited at the last look too.
   */
  look(): boolean {
    const waiters = stackWaiters().filter((thread) => !this.#idle.has(thread));
    const isStuck = waiters.some((thread) => this.#waiters.has(thread));
    this.#waiters = new Set(waiters);
    return isStuck;
  }
}

/**
 * Returns the process that has made the call that a thread of libfuse serves. fuse-native does not
 * pass the caller on, and only the thread itself can reach libfuse's context. So a signal asks it.
 * @param memory fuse-native's memory of the thread, which contains the thread's semaphore
 * @returns undefined if the caller cannot be found
 */
export function callerOf(memory: Uint8Array): Caller | undefined {
  const start = addressOf(memory);
  for (const end = performance.now() + MOST_ASKING_MS; performance.now() < end;) {
    // The thread may still be on its way to the semaphore.
    const thread = threads().find((id) => {
      const waitsFor = Number(systemCall(id)[1]);
      return waitsFor >= start && waitsFor < start + memory.length;
    });
    if (thread === undefined) continue;
    const pid = callerOfThread(thread, CALLER_SIGNAL);
    return pid === 0 ? undefined : { uid: UNKNOWN_ID, gid: UNKNOWN_ID, pid };
  }
  return undefined;
}

/** Returns the ids of the threads that wait for an object on their own stack now. */
function stackWaiters(): number[] {
  return threads().filter(isStackWaiter);
}

function threads(): number[] {
  return readdirSync('/proc/self/task').map(Number);
}

/**
 * Returns a thread's system call: its number, six arguments, the stack pointer; or only `running`.
 */
function systemCall(thread: number): readonly string[] {
  try {
    return readFileSync(`/proc/self/task/${thread}/syscall`, 'latin1').split(' ');
  } catch {
    return []; // the thread has ended
  }
}

function isStackWaiter(thread: number): boolean {
  const fields = systemCall(thread);
  const [waitsFor, stack] = [Number(fields[1]), Number(fields[7])];
  return waitsFor >= stack && waitsFor < stack + NEAR_BYTES;
}
