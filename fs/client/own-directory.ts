/** A process directory for this process: it ends with it, so nobody has to remove it. */
import { closeSync, constants, mkdirSync, openSync, writeSync } from 'node:fs';
import { UserError, isSystemError } from '../shared/errors.js';
import type { Filter } from '../uevent/filter/filter.js';
import type { SeqNum } from '../uevent/text.js';

const HINTS = {
  EACCES: 'the mount lets you make no directory',
  EDQUOT: 'a quota is used up: see eventfs status',
  ENFILE: 'the daemon is at its limit of open files: see eventfs doctor',
  ESRCH: 'the daemon does not see this process: it is in another PID namespace, beside its own',
};

/**
 * mkdir(2) of `<mount>/<pid><label>`, or with a number behind that where somebody has made it. The filter is there before the history,
 * so that what is linked in obeys it; what came before the filter may be of any kind.
 *
 * @param label '' or `.<label>`
 * @param since a SEQNUM: what the bus has kept after it comes first
 */
export function makeOwnDirectory(
  mount: string,
  label: string,
  filter: Filter,
  since?: SeqNum,
): string {
  const path = makeFree(`${mount}/${process.pid}${label}`);
  if (!filter.all) writeTo(`${path}/.filter`, Buffer.from(`${filter.text}\n`, 'latin1'));
  if (since !== undefined) writeTo(`${path}/.since`, Buffer.from(`${since}\n`));
  return path;
}

function makeFree(wanted: string): string {
  for (let n = 0; ; n++) {
    const path = n === 0 ? wanted : `${wanted}.${n}`;
    try {
      mkdirSync(path, { mode: 0o700 });
      return path;
    } catch (error) {
      if (!isSystemError(error)) throw error;
      if (error.code !== 'EEXIST') throw UserError.from(error, path, HINTS);
    }
  }
}

/** One write(2), never of a file that is not there: what is made in a process directory is an event. */
function writeTo(path: string, text: Buffer): void {
  try {
    const fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
    try {
      writeSync(fd, text);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (isSystemError(error))
      throw UserError.from(error, path, { ENOENT: 'the daemon is of an older version' });
    throw error;
  }
}
