/**
 * What the kernel tells of a process: proc_pid_status(5).
 *
 * All of it is about whoever has the PID *now*. Only a pidfd opened before, and found alive after, proves that it was
 * about the process that was meant (owners.ts).
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { Errno, FsError, isSystemError } from '../shared/errors.js';

declare const pid: unique symbol;
/** A thread group's PID in the daemon's own PID namespace. */
export type Pid = number & { readonly [pid]: true };

export interface ProcessStatus {
  /** Its thread group: the PID of the process that a thread belongs to. */
  readonly pid: Pid;
  /** The thread group of its parent; 0 when that is in another namespace. */
  readonly parent: Pid;
  /** Its thread group's PIDs in every PID namespace from the daemon's inwards; the last is the one it knows itself by. */
  readonly namespacePids: readonly number[];
  readonly realUid: number;
  readonly effectiveUid: number;
  readonly savedUid: number;
  readonly effectiveGid: number;
  /** Whether it has CAP_KILL (capabilities(7)) in its own user namespace. */
  readonly mayKill: boolean;
}

/** Bit 5 of the capability sets: linux/capability.h. */
const CAP_KILL_MASK = 1 << 5;

/** Where a file of /proc is read to. A process in many groups has a long status. */
let scratch = Buffer.allocUnsafeSlow(16 * 1024);

/**
 * A whole file of /proc. Not by readFileSync, which takes 64 KiB for a file whose size it is not told: a thousand of them, and V8
 * collects all garbage, which costs the more the more directories there are.
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

/** The status of a process or thread, or undefined when there is none. ENFILE. */
export function readStatus(id: number): ProcessStatus | undefined {
  let text: string;
  try {
    text = readWhole(`/proc/${id}/status`);
  } catch (error) {
    if (isSystemError(error, 'ENOENT') || isSystemError(error, 'ESRCH')) return undefined; // ESRCH: it ended meanwhile
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

/** How often this process had no descriptor left for somebody's request: the limit is the process's. */
export const descriptorRefusals = { count: 0 };

/** What the caller is told when the daemon is at its limit of descriptors, which is not the caller's: ENFILE, not EMFILE. */
export function asFull(error: unknown): unknown {
  const isFull = isSystemError(error, 'EMFILE') || isSystemError(error, 'ENFILE');
  if (!isFull) return error;
  descriptorRefusals.count++;
  return new FsError(Errno.ENFILE, 'out of descriptors');
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
