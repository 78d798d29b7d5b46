/** Recognizes requests of the notifier that the last daemon had. */
import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { notifierProgram } from '#native';
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
export function isNotifier(pid: number): boolean {
  try {
    const [program] = basename(readlinkSync(`/proc/${pid}/exe`)).split(' ');
    return program === basename(notifierProgram);
  } catch {
    return false; // it has ended
  }
}
