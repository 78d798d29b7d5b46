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
const ENDS: readonly End[] = ['head', 'tail'];

/** The offsets behind those of the events. */
interface LaterOffsets {
  /** The first offset of special files. */
  readonly specials: number;
  /** The first offset of `head` and `tail`: they come last, if they are listed. */
  readonly links: number;
}

/**
 * These offsets fit 31 bits: in a 32-bit program without large files readdir(3) refuses a larger
 * one with EOVERFLOW.
 */
const NARROW: LaterOffsets = { specials: 2 ** 30, links: 2 ** 30 + 2 ** 29 };
/** These come after all events and special files that a directory can ever have. */
const WIDE: LaterOffsets = { specials: 2 ** 50, links: 2 ** 51 };

/**
 * Returns the offsets that come after those of a directory's events: narrow ones while there is
 * room for all events and special files that it has had.
 */
export function offsetsBehind(
  events: Pick<Sequence<Entry>, 'nextPosition'>,
  specials: Pick<Sequence<SpecialFile>, 'nextPosition'> | undefined,
): LaterOffsets {
  const isNarrow =
    events.nextPosition + FIRST_EVENT_OFFSET < NARROW.specials &&
    NARROW.specials + (specials?.nextPosition ?? 0) < NARROW.links;
  return isNarrow ? NARROW : WIDE;
}

/**
 * Lists events.
 * @param offset the offset of readdir(3) to begin at
 * @param end the position in the queue to stop before
 * @param later the result of `offsetsBehind`
 * @returns false if there is no room for all of them
 */
export function listEvents(
  entries: Sequence<Entry>,
  offset: number,
  to: Listing,
  end: number,
  later: LaterOffsets,
): boolean {
  if (offset >= later.specials) return true;
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
 * @param later the result of `offsetsBehind`
 * @returns false if there is no room for all of them
 */
export function listSpecials(
  files: Sequence<SpecialFile>,
  offset: number,
  to: Listing,
  later: LaterOffsets,
): boolean {
  let position = files.seek(Math.max(0, offset - later.specials));
  for (; position >= 0; position = files.seek(position + 1)) {
    const file = files.at(position)!;
    if (!to.add(file.ino, file.type, file.name, later.specials + position + 1)) return false;
  }
  return true;
}

/**
 * Lists `head` and `tail` of a queue that holds an event.
 * @param directory the node id of the directory
 * @param offset the offset of readdir(3) to begin at
 * @param later the result of `offsetsBehind`
 */
export function listEnds(
  directory: NodeId,
  offset: number,
  to: Listing,
  later: LaterOffsets,
): void {
  for (let n = Math.max(0, offset - later.links); n < ENDS.length; n++) {
    const ino = inodeOfFixed(directory, ENDS[n]);
    if (!to.add(ino, FileType.symlink, ENDS[n], later.links + n + 1)) return;
  }
}
