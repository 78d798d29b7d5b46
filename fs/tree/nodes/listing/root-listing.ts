/** Lists the root: process directories first, the fixed names last. */
import type { Sequence } from '../../../bus/sequence.js';
import { FileType } from '../attributes.js';
import type { Listing } from '../directory.js';
import type { Node } from '../node.js';

/**
 * Offsets of readdir(3): 1 is behind `.`, 2 is behind `..`. The offset behind a directory is 3 +
 * its position.
 */
const FIRST_ENTRY_OFFSET = 2;
const FIRST_DIRECTORY_OFFSET = 3;
/**
 * The fixed names come after all directories that the root can ever have. Their offsets fit 31 bits
 * as long as those of the directories do: in a 32-bit program without large files readdir(3)
 * refuses a larger one with EOVERFLOW.
 */
const NARROW_FIXED_OFFSET = 2 ** 30;
const WIDE_FIXED_OFFSET = 2 ** 50;

/** A file or directory of the root that is always there. */
export interface Fixed {
  readonly name: string;
  readonly node: Node;
  /** Whether it is listed only if `list_links` is set. */
  readonly isLink: boolean;
}

/** A directory in the root. */
interface Named {
  readonly ino: number;
  readonly name: string;
  readonly lifetime: { readonly over: boolean };
}

/** The directories and the fixed names of the root. */
interface Contents<Directory extends Named> {
  readonly directories: Pick<Sequence<Directory>, 'nextPosition' | 'seek' | 'at'>;
  /** Says which directories are not listed, because another one has the name. */
  readonly names: { isHidden(directory: Directory): boolean };
  /** The fixed names, in their order. */
  readonly fixed: readonly Fixed[];
  /** Whether names that are links are listed. */
  readonly listsLinks: boolean;
}

/**
 * Lists the root from an offset behind `.` and `..` on.
 * @param offset as in `Directory.list`
 * @param to as in `Directory.list`
 * @param end the position at which the listing ends
 */
export function listRoot<Directory extends Named>(
  { directories, names, fixed, listsLinks }: Contents<Directory>,
  offset: number,
  to: Listing,
  end: number,
): void {
  const isNarrow = directories.nextPosition + FIRST_DIRECTORY_OFFSET < NARROW_FIXED_OFFSET;
  const firstFixed = isNarrow ? NARROW_FIXED_OFFSET : WIDE_FIXED_OFFSET;
  let position =
    offset >= firstFixed ? -1 : directories.seek(Math.max(0, offset - FIRST_ENTRY_OFFSET));
  for (; position >= 0 && position < end; position = directories.seek(position + 1)) {
    const directory = directories.at(position)!;
    const { ino, name, lifetime } = directory;
    if (lifetime.over || names.isHidden(directory)) continue;
    if (!to.add(ino, FileType.directory, name, position + FIRST_DIRECTORY_OFFSET)) return;
  }
  for (let n = Math.max(0, offset - firstFixed); n < fixed.length; n++) {
    const { name, node, isLink } = fixed[n];
    if ((!isLink || listsLinks) && !to.add(node.ino, node.type, name, firstFixed + n + 1)) return;
  }
}
