/** Starts a process. Node reports some errors of spawn by an event, and throws the others. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { isSystemError } from './errors.js';

/**
 * Starts a program. Every error comes by the callback, never by an exception: EACCES and ENOENT as
 * well as E2BIG, ETXTBSY and ELOOP, which a change of the program's file or a long argument causes.
 *
 * @param options as those of Node's spawn
 * @param onError receives a SystemError, once this function has returned
 * @returns null if the program can't be started
 */
export function startProcess(
  program: string,
  args: readonly string[],
  options: SpawnOptions,
  onError: (error: Error) => void,
): ChildProcess | null {
  let child: ChildProcess;
  try {
    child = spawn(program, args, options);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    process.nextTick(onError, error);
    return null;
  }
  child.once('error', onError);
  return child.pid === undefined ? null : child; // after EMFILE it has no pipes
}
