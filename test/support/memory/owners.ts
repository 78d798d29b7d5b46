/** Tests without a mount which process a caller may name as the owner of a directory. */
import * as assert from 'uvu/assert';
import { Errno, FsError } from '../../../fs/shared/errors.js';
import { Owners } from '../../../fs/owners/owners.js';

/**
 * Asks whether `caller` may make a directory that `target` owns.
 * @param target a PID
 * @param caller a PID
 * @returns `ok`, or the errno's name
 */
export function named(target: number, caller: number): string {
  const owners = new Owners();
  try {
    const { uid, gid } = { uid: 0, gid: 0 }; // the check reads /proc instead
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
