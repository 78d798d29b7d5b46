/**
 * Reads the status of a process: fields of proc_pid_status(5).
 *
 * The status belongs to the process that has the PID *now*. Only a pidfd that was open before, and
 * whose process is alive afterwards, proves that it is the status of the intended process
 * (owners.ts).
 */
import { Errno, FsError, isSystemError } from '../shared/errors.js';
import { system } from './system.js';

declare const pid: unique symbol;
/** A thread group's PID in the daemon's own PID namespace. */
export type Pid = number & { readonly [pid]: true };

/**
 * The largest int, and so the largest PID that a system call can take. PID_MAX_LIMIT of
 * linux/threads.h is 2^22.
 */
export const MAX_PID = 2 ** 31 - 1;

/** The fields of /proc/<pid>/status that the daemon needs. */
export interface ProcessStatus {
  /** The PID of its thread group: of the process that a thread belongs to. */
  readonly pid: Pid;
  /** The PID of its parent's thread group; 0 if the parent is in another PID namespace. */
  readonly parent: Pid;
  /**
   * The PIDs of its thread group in each PID namespace, from the daemon's inwards. The last is the
   * PID that the process itself sees.
   */
  readonly namespacePids: readonly number[];
  readonly realUid: number;
  readonly effectiveUid: number;
  readonly savedUid: number;
  readonly effectiveGid: number;
  /** Whether it has CAP_KILL (capabilities(7)) in its own user namespace. */
  readonly mayKill: boolean;
}

/** CAP_KILL is bit 5 of the capability sets: linux/capability.h. */
const CAP_KILL_MASK = 1 << 5;

/**
 * Reads the status of a process or thread.
 *
 * @param id the id of a process or thread in the daemon's PID namespace
 * @returns undefined if there is no such process or thread
 * @throws FsError ENFILE if the daemon has no descriptor left
 */
export function readStatus(id: number): ProcessStatus | undefined {
  let text: string;
  try {
    text = system.readStatus(id);
  } catch (error) {
    // ESRCH: there is none, or it ended after open(2)
    if (isSystemError(error, 'ENOENT') || isSystemError(error, 'ESRCH')) return undefined;
    throw asFull(error);
  }
  const [realUid, effectiveUid, savedUid] = numbers(text, 'Uid');
  return {
    pid: numbers(text, 'Tgid')[0] as Pid,
    parent: numbers(text, 'PPid')[0] as Pid,
    namespacePids: numbers(text, 'NStgid'),
    realUid,
    effectiveUid,
    savedUid,
    effectiveGid: numbers(text, 'Gid')[1],
    mayKill: (parseInt(field(text, 'CapEff').slice(-8), 16) & CAP_KILL_MASK) !== 0,
  };
}

/**
 * The number of requests, and of starts of the notifier, that failed because the daemon had no
 * descriptor left. The count is global because the limit is the process's.
 */
export const descriptorRefusals = { count: 0 };

/**
 * Converts the error of a system call for the caller. If the daemon is out of descriptors, the
 * caller gets ENFILE instead of EMFILE, because the limit is not the caller's; the refusal is
 * counted.
 *
 * @returns an FsError with ENFILE, ENOMEM or ENOSPC, or `error` unchanged
 */
export function asFull(error: unknown): unknown {
  if (isSystemError(error, 'ENOMEM'))
    return new FsError(Errno.ENOMEM, 'the machine has no memory left for another owner');
  if (isSystemError(error, 'ENOSPC'))
    return new FsError(
      Errno.ENOSPC,
      'the daemon may watch no more owners; raise fs.epoll.max_user_watches (sysctl)',
    );
  const isFull = isSystemError(error, 'EMFILE') || isSystemError(error, 'ENFILE');
  return isFull ? noDescriptor() : error;
}

/** Returns the ENFILE for a caller if the daemon is out of descriptors, and counts the refusal. */
export function noDescriptor(): FsError {
  descriptorRefusals.count++;
  return new FsError(
    Errno.ENFILE,
    'the daemon has no file descriptor left; raise its limit (ulimit -n)',
  );
}

function field(text: string, name: string): string {
  const found = text.indexOf(`\n${name}:\t`);
  if (found < 0) return '';
  const start = found + name.length + 3;
  return text.slice(start, text.indexOf('\n', start));
}

function numbers(text: string, name: string): number[] {
  return field(text, name).split(/\s+/).map(Number);
}
