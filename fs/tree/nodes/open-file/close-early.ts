/** Frees what the open files of an ended directory hold, in turns. */
import type { EventFile } from '../event-file.js';

/**
 * Releases the events of some open files of an ended directory. No process can use them, because
 * every request for such a file fails with ESTALE.
 * @param files the open files; those that are done are removed
 * @param most the most files
 * @param mostText ends the call once the files that are done had this many bytes
 * @returns whether none is left
 */
export function closeSomeEarly(files: Set<EventFile>, most: number, mostText: number): boolean {
  let left = most;
  let leftText = mostText;
  for (const file of files) {
    if (left-- === 0 || leftText <= 0) return false;
    leftText -= file.event.length;
    files.delete(file);
    file.closeEarly();
  }
  return true;
}
