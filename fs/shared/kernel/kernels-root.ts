/**
 * The uid by which this process's user namespace shows the root of the first user namespace, whose
 * uid the kernel's own messages carry (user_namespaces(7)).
 */
import { readFileSync, statSync } from 'node:fs';

/** The kernel's root owns this directory in every mount of /proc (fs/proc/proc_sysctl.c). */
const OF_ROOT = '/proc/sys/kernel';
/** The uid that stands for each uid without a mapping. */
const OVERFLOW_UID = '/proc/sys/kernel/overflowuid';
/** The map of the first user namespace, which maps each uid to itself. */
const INITIAL_UID_MAP = /^\s*0\s+0\s+4294967295\s*$/;

/** How this process sees the kernel's root. */
interface KernelsRoot {
  readonly uid: number;
  /** Whether the user namespace has a uid of its own for it. */
  readonly isMapped: boolean;
}

/** Tells whether this process is in the first user namespace. */
export function isInitialUserNamespace(): boolean {
  return INITIAL_UID_MAP.test(readFileSync('/proc/self/uid_map', 'latin1'));
}

function look(): KernelsRoot {
  try {
    const { uid } = statSync(OF_ROOT);
    const isOverflow = uid === Number(readFileSync(OVERFLOW_UID, 'latin1'));
    return { uid, isMapped: !isOverflow || isInitialUserNamespace() };
  } catch {
    return { uid: 0, isMapped: true }; // /proc is missing: `eventfs mount` refuses to start
  }
}

/** A process keeps its user namespace, unless it calls setns(2). */
export const kernelsRoot = look();
