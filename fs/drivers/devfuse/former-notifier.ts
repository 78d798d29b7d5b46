/** The notifier that the last daemon had: it ends before another daemon serves. */
import { readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { notifierProgram } from '#native';
import { isShortage, isSystemError } from '../../shared/errors.js';
import { Opcode } from '../../fuse/abi.js';

/**
 * Returns whether a request that is sent again comes from a notifier, and means something else
 * than the same request of another process. Its daemon is dead, so the notifier is ending; the
 * kernel lets it end only after the reply.
 * @param opcode the request's opcode
 * @param pid the caller
 */
export function isOfFormerNotifier(opcode: number, pid: number): boolean {
  if (opcode !== Opcode.FUSE_LOOKUP && opcode !== Opcode.FUSE_MKNOD && opcode !== Opcode.FUSE_RMDIR)
    return false;
  return isNotifier(pid);
}

/** Returns whether a process runs the notifier's program. */
function isNotifier(pid: number): boolean {
  try {
    const [program] = basename(readlinkSync(`/proc/${pid}/exe`)).split(' ');
    return program === basename(notifierProgram);
  } catch {
    return false; // it has ended
  }
}

/** The pause between two looks at a process, in milliseconds. */
const LOOK_INTERVAL_MS = 1;

/**
 * Blocks until a child of this process has ended. It may be a zombie.
 * @param pid the child, which was sent SIGKILL
 * @param mostMs the longest wait, in milliseconds
 * @returns whether it has ended
 */
export function waitForEnd(pid: number, mostMs: number): boolean {
  const word = new Int32Array(new SharedArrayBuffer(4));
  for (let waitedMs = 0; waitedMs < mostMs; waitedMs += LOOK_INTERVAL_MS) {
    if (hasEnded(pid)) return true;
    Atomics.wait(word, 0, 0, LOOK_INTERVAL_MS);
  }
  return hasEnded(pid);
}

function hasEnded(pid: number): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.startsWith('Z', text.lastIndexOf(')') + 2); // proc_pid_stat(5)
  } catch (error) {
    return !(isSystemError(error) && isShortage(error.errno)); // it is reaped
  }
}
