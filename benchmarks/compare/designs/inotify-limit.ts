/** Raises the limit of inotify instances a user (inotify(7): 128): each subscriber needs one. */
import { readFileSync, writeFileSync } from 'node:fs';

const FILE = '/proc/sys/fs/inotify/max_user_instances';
/** The number of instances for other processes of the same user. */
const OTHERS = 256;

/** Raises the limit if it is too low. @returns a function that restores it */
export function raiseInotifyLimit(subscribers: number): () => void {
  const before = Number(readFileSync(FILE, 'latin1'));
  if (before >= subscribers + OTHERS) return () => undefined;
  writeFileSync(FILE, String(subscribers + OTHERS));
  return () => writeFileSync(FILE, String(before));
}
