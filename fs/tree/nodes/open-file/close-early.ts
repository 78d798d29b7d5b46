/** Frees what the open files of an ended directory hold, in turns. */
import type { EventFile } from '../event-file.js';

/**
 * Releases the events of some open files of an ended directory. No process can use them, because
 * every request for such a file fails with ESTALE.
 * @param files the open files; those that are done are removed
 * @param most the most files
 * @returns whether none is left
 */
export function closeSomeEarly(files: Set<EventFile>, most: number): boolean {
  let left = most;
  for (const file of files) {
    if (left-- === 0) return false;
    files.delete(file);
    file.closeEarly();
  }
  return true;
}
