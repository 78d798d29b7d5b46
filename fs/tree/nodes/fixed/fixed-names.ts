/** The names that a directory of events always has, or has while its queue holds an event. */
import type { NodeId } from '../node.js';

const FIXED_NAMES = ['head', 'tail', '.stream', '.filter', '.since', '.status'] as const;

/**
 * Maps each fixed name to the difference between its inode number and that of the directory. No
 * event and no file of a user has a fixed name. After a FORGET the next lookup makes a new node
 * with the same inode number.
 */
const INODE_OFFSETS: ReadonlyMap<string, number> = new Map(
  FIXED_NAMES.map((name, n) => [name, n + 1]),
);

/** The number of inode numbers that a directory takes: its own, and those of the fixed names. */
export const EVENT_DIRECTORY_INODES = 1 + INODE_OFFSETS.size;

/** Returns whether a name is fixed. */
export function isFixedName(name: string): boolean {
  return INODE_OFFSETS.has(name);
}

/**
 * Returns the fixed name whose inode number is `offset` behind that of its directory.
 * @param offset from 1 to EVENT_DIRECTORY_INODES - 1
 */
export function fixedNameAt(offset: number): string {
  return FIXED_NAMES[offset - 1];
}

/**
 * Returns the inode number of a fixed name.
 * @param directory the node id of the directory
 * @param name a fixed name
 */
export function inodeOfFixed(directory: NodeId, name: string): number {
  return directory + INODE_OFFSETS.get(name)!;
}
