/**
 * The system calls about processes. One object holds them, so that a simulation can replace the
 * machine's processes by its own.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { DeathWatch, type DeathWatchOptions, exitStatus, openPidfd, processStatus } from '#native';
import { handleOf, openByHandle } from './pidfd-handle.js';
import { namespaceOf } from '../shared/kernel/namespaces.js';

/** The system calls about processes. */
export interface ProcessSystem {
  newDeathWatch: (options: DeathWatchOptions) => DeathWatch;
  /** Makes pidfd_open(2). */
  openPidfd: (pid: number) => number;
  closePidfd: (pidfd: number) => void;
  /** Returns a dead process's exit status: `exitStatus` of the addon. */
  exitStatus: (pidfd: number) => number;
  /** Returns the file handle of a pidfd, or an empty text: see fs/owners/pidfd-handle.ts. */
  pidfdHandle: (pidfd: number) => string;
  /** Opens a pidfd of the process that a handle names; -1 if it has ended. */
  openPidfdHandle: (handle: string) => number;
  /** Returns the status of a process or thread: a part of /proc/<id>/status, or all of it. */
  readStatus: (id: number) => string;
  /** Returns the text of a file of /proc. */
  readWhole: (path: string) => string;
  /** Names a namespace of a process: `namespaceOf` of fs/shared/kernel/namespaces.ts. */
  namespaceOf: (id: number | 'self', kind: 'pid' | 'user') => string | undefined;
}

/** The buffer for a file of /proc. It grows, because a process in many groups has a long status. */
let scratch = Buffer.allocUnsafeSlow(16 * 1024);

/**
 * Reads a whole file of /proc. readFileSync would allocate 64 KiB for a file of unknown size; after
 * a thousand of those V8 collects all garbage, and this costs more with each directory.
 */
function readWhole(path: string): string {
  const fd = openSync(path, 'r');
  try {
    let length = 0;
    for (;;) {
      const got = readSync(fd, scratch, length, scratch.length - length, null);
      if (got === 0) return scratch.toString('latin1', 0, length);
      length += got;
      if (length === scratch.length) scratch = Buffer.concat([scratch], 2 * length);
    }
  } finally {
    closeSync(fd);
  }
}

/**
 * Returns the fields of /proc/<id>/status that the daemon needs. It reads the file only if the
 * kernel does not tell them otherwise, since a user may have 65,536 groups: a file of 460 KB, which
 * takes the kernel 17 ms.
 */
function readStatus(id: number): string {
  return processStatus(id) ?? readWhole(`/proc/${id}/status`);
}

/** The system calls of this process. */
export const system: ProcessSystem = {
  newDeathWatch: (options) => new DeathWatch(options),
  openPidfd,
  closePidfd: closeSync,
  exitStatus,
  pidfdHandle: handleOf,
  openPidfdHandle: openByHandle,
  readStatus,
  readWhole,
  namespaceOf,
};

/** Replaces the system calls, for all code of this process. */
export function replaceProcesses(by: ProcessSystem): void {
  Object.assign(system, by);
}
