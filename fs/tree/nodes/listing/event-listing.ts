/**
 * The offsets of readdir(3) in a directory of events: 0 is the start, 1 is behind `.`, 2 is behind
 * `..`. The offset behind an event is 3 + its position in the queue.
 */
import type { Entry } from '../../../bus/queue.js';
import type { Sequence } from '../../../bus/sequence.js';
import { FileType } from '../attributes.js';
import type { Listing } from '../directory.js';
import type { End } from '../fixed/end-link.js';
import { inodeOfFixed } from '../fixed/fixed-names.js';
import type { NodeId } from '../node.js';
import type { SpecialFile } from '../special-file.js';

const FIRST_EVENT_OFFSET = 3;
/**
 * The offsets of special files begin here: they come after all events that the queue can ever have.
 */
const FIRST_SPECIAL_OFFSET = 2 ** 50;
/** The offsets of `head` and `tail` begin here: they come last, if they are listed. */
const FIRST_LINK_OFFSET = 2 ** 51;
const ENDS: readonly End[] = ['head', 'tail'];

/**
 * Lists events.
 * @param offset the offset of readdir(3) to begin at
 * @param end the position in the queue to stop before
 * @returns false if there is no room for all of them
 */
export function listEvents(
  entries: Sequence<Entry>,
  offset: number,
  to: Listing,
  end: number,
): boolean {
  if (offset >= FIRST_SPECIAL_OFFSET) return true;
  let position = entries.seek(Math.max(0, offset - FIRST_EVENT_OFFSET + 1));
  for (; position >= 0 && position < end; position = entries.seek(position + 1)) {
    const entry = entries.at(position)!;
    if (!to.add(entry.event.ino, FileType.regular, entry.name, position + FIRST_EVENT_OFFSET))
      return false;
  }
  return true;
}

/**
 * Lists special files.
 * @param offset the offset of readdir(3) to begin at
 * @returns false if there is no room for all of them
 */
export function listSpecials(files: Sequence<SpecialFile>, offset: number, to: Listing): boolean {
  let position = files.seek(Math.max(0, offset - FIRST_SPECIAL_OFFSET));
  for (; position >= 0; position = files.seek(position + 1)) {
    const file = files.at(position)!;
    if (!to.add(file.ino, file.type, file.name, FIRST_SPECIAL_OFFSET + position + 1)) return false;
  }
  return true;
}

/**
 * Lists `head` and `tail` of a queue that holds an event.
 * @param directory the node id of the directory
 * @param offset the offset of readdir(3) to begin at
 */
export function listEnds(directory: NodeId, offset: number, to: Listing): void {
  for (let n = Math.max(0, offset - FIRST_LINK_OFFSET); n < ENDS.length; n++) {
    const ino = inodeOfFixed(directory, ENDS[n]);
    if (!to.add(ino, FileType.symlink, ENDS[n], FIRST_LINK_OFFSET + n + 1)) return;
  }
}
