/** Whom a process may name as the owner of a directory, without a mount. */
import * as assert from 'uvu/assert';
import { Errno, FsError } from '../../fs/shared/errors.js';
import { Owners } from '../../fs/owners/owners.js';

/** What becomes of a directory that `caller` makes for `target`. */
export function named(target: number, caller: number): string {
  const owners = new Owners();
  try {
    const { uid, gid } = { uid: 0, gid: 0 }; // what decides is read from /proc
    const found = owners.named(target, { uid, gid, pid: caller });
    assert.is(found.pid, target);
    return 'ok';
  } catch (error) {
    if (error instanceof FsError)
      return Object.entries(Errno).find(([, errno]) => errno === error.errno)![0];
    throw error;
  } finally {
    owners.close();
  }
}
