/** inotify(7): a user has 128 instances unless root says otherwise, and each subscriber needs one. */
import { readFileSync, writeFileSync } from 'node:fs';

const FILE = '/proc/sys/fs/inotify/max_user_instances';
/** Others of the same user have some too. */
const OTHERS = 256;

/** Raises the limit if that is needed; gives what puts it back. */
export function raiseInotifyLimit(subscribers: number): () => void {
  const before = Number(readFileSync(FILE, 'latin1'));
  if (before >= subscribers + OTHERS) return () => undefined;
  writeFileSync(FILE, String(subscribers + OTHERS));
  return () => writeFileSync(FILE, String(before));
}
