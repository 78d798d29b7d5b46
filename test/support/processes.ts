/** Processes as proc(5) shows them. */
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { isSystemError } from '../../fs/shared/errors.js';

/** A process or zombie: the fields of proc_pid_stat(5) that tests use. */
export interface ProcessStat {
  readonly pid: number;
  /** The name of the program, 15 bytes at most. */
  readonly name: string;
  /** A letter: `S` sleeps, `T` is stopped, `Z` is a zombie. */
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** The device number of the controlling terminal; 0 without one. */
  readonly terminal: number;
  /** The CPU time so far, in ticks of 10 ms. */
  readonly cpuTicks: number;
}

/** Returns undefined if there is no such process. */
export function statOf(pid: number): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined; // it has ended, and its parent has waited for it
  }
  const nameEnd = text.lastIndexOf(')'); // the name may have parentheses and blanks
  const [state, ...rest] = text.slice(nameEnd + 2).split(' ');
  const [parent, group, session, terminal, , , , , , , user, system] = rest.map(Number);
  const name = text.slice(text.indexOf('(') + 1, nameEnd);
  return { pid, name, state, parent, group, session, terminal, cpuTicks: user + system };
}

/** Returns all processes, zombies too. */
export function allProcesses(): ProcessStat[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => statOf(Number(pid)) ?? []);
}

/** Returns the letter of a process's state, or undefined if there is no such process. */
export function stateOf(pid: number): string | undefined {
  return statOf(pid)?.state;
}

/** Returns true if a process has ended, even if its parent has not waited for it. */
export function isDead(pid: number): boolean {
  return (stateOf(pid) ?? 'Z') === 'Z';
}

/** Returns true if a process exists, zombies included. */
export function exists(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}

/** Returns the PIDs of the children that a process's first thread has started, zombies included. */
export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1')
      .split(' ')
      .filter(Boolean)
      .map(Number);
  } catch {
    return []; // it has ended
  }
}

/** Returns the PIDs of a process's living children with this name, or of all with an empty one. */
export function childrenNamed(pid: number, name: string): number[] {
  return allProcesses()
    .filter(({ parent, state }) => parent === pid && state !== 'Z')
    .filter((child) => name === '' || child.name === name.slice(0, 15))
    .map((child) => child.pid);
}

/** Returns true if a process waits for the reply to a request of FUSE, false if it has ended. */
export function waitsForReply(pid: number): boolean {
  try {
    return /^(fuse_|request_wait)/.test(readFileSync(`/proc/${pid}/wchan`, 'latin1'));
  } catch (error) {
    if (isSystemError(error)) return false;
    throw error;
  }
}

/**
 * Returns a size of proc_pid_status(5), in KiB.
 * @param field `VmRSS` is the resident memory, `RssAnon` the part of it that is of no file, and
 *   `VmHWM` the largest VmRSS so far
 * @throws Error if the process has ended
 */
export function memoryKib(pid: number, field: 'VmRSS' | 'RssAnon' | 'VmHWM' = 'VmRSS'): number {
  const text = readFileSync(`/proc/${pid}/status`, 'latin1');
  const found = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(text);
  if (found === null) throw new Error(`process ${pid} has no ${field}`);
  return Number(found[1]);
}

/**
 * Returns the targets of a process's file descriptors.
 * @param matches only targets that it matches
 */
export function descriptors(pid: number, matches = /./): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
      return matches.test(target) ? [target] : [];
    } catch {
      return []; // it has been closed
    }
  });
}

/** Sends SIGKILL. Returns false if the process has ended. */
export function killed(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (isSystemError(error) && error.code === 'ESRCH') return false;
    throw error;
  }
}
