/**
 * Daemons of tests that also run under a guardian, if EVENTFS_TEST_GUARD=1 asks for that: their
 * state is in memory that outlives them, and each change is in it before its reply.
 */
import { childrenNamed } from '../processes.js';
import type { Daemon } from './daemon.js';

const isGuarded = process.env.EVENTFS_TEST_GUARD === '1';

/** The options that put a daemon under its guardian; none without the variable. */
export const GUARD: readonly string[] = isGuarded ? ['--guard'] : [];

/** Returns the PID of the process that serves: `pid` is the guardian's if there is one. */
export function servingPid({ pid }: Pick<Daemon, 'pid'>): number {
  if (!isGuarded) return pid;
  const [serving, ...others] = childrenNamed(pid, '');
  if (serving === undefined || others.length > 0) throw new Error('not one daemon serves');
  return serving;
}
