/**
 * Opens the files by which the daemon knows a process: its status and its pidfd.
 *
 * The pidfds of dead owners stay open for a moment, until it is known how the owners ended. If the
 * daemon has no descriptor left, these are closed first.
 */
import type { DeathWatch } from '#native';
import { Errno, FsError, isSystemError } from '../shared/errors.js';
import type { Caller } from './caller.js';
import { type Pid, type ProcessStatus, asFull, noDescriptor, readStatus } from './process.js';
import { system } from './system.js';

/** The pidfds of dead owners. */
export interface DeadPidfds {
  /** Closes them: the daemon has no descriptor left. Throws `error` if that does not help. */
  makeRoom(error: unknown): void;
}

/** The files of processes. */
export class ProcessFiles {
  /**
   * @param dead holds the pidfds of dead owners
   * @param mostDescriptors pidfds with this number or a higher one are refused
   */
  constructor(
    private readonly dead: DeadPidfds,
    private readonly mostDescriptors = Infinity,
  ) {}

  /**
   * Reads the status of a process or thread.
   *
   * @param id the id of a process or thread in the daemon's PID namespace
   * @returns undefined if there is no such process or thread
   * @throws FsError ENFILE if the daemon has no descriptor left
   */
  status(id: number): ProcessStatus | undefined {
    try {
      return readStatus(id);
    } catch (error) {
      this.dead.makeRoom(error);
      return readStatus(id);
    }
  }

  /**
   * Reads the status of the process that a caller is a thread of.
   *
   * @throws FsError EPERM if the caller has no PID in the daemon's PID namespace; ESRCH if it has
   *   ended; ENFILE if the daemon has no descriptor left
   */
  ofCaller({ pid }: Caller): ProcessStatus {
    if (pid === 0)
      throw new FsError(Errno.EPERM, "the caller has no PID in the daemon's PID namespace");
    const status = this.status(pid);
    if (status === undefined) throw new FsError(Errno.ESRCH, `the caller, ${pid}, has ended`);
    return status;
  }

  /**
   * Opens a pidfd.
   *
   * @throws FsError ESRCH if there is no such process; ENFILE if the daemon has no descriptor left
   */
  openPidfd(pid: Pid): number {
    try {
      return this.#open(pid);
    } catch (error) {
      this.dead.makeRoom(error);
      return this.#open(pid);
    }
  }

  #open(pid: Pid): number {
    const pidfd = open(pid);
    if (pidfd < this.mostDescriptors) return pidfd;
    system.closePidfd(pidfd);
    throw noDescriptor();
  }
}

function open(pid: Pid): number {
  try {
    return system.openPidfd(pid);
  } catch (error) {
    if (['ESRCH', 'EINVAL', 'ENOENT'].some((code) => isSystemError(error, code)))
      throw new FsError(Errno.ESRCH, `no process ${pid}`);
    throw asFull(error);
  }
}

/**
 * Adds a pidfd to the death watch.
 *
 * @throws FsError ENOSPC or ENOMEM if the kernel watches no more
 */
export function addToWatch(watch: DeathWatch, pidfd: number, pid: Pid): void {
  try {
    watch.add(pidfd, pid);
  } catch (error) {
    throw asFull(error);
  }
}
