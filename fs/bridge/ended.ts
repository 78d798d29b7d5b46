/** The errors of a mount whose daemon has ended, or of a directory that has. */
import { constants } from 'node:os';
import { type SystemError, isSystemError } from '../shared/errors.js';

const ENDED: ReadonlySet<number> = new Set(
  (['ECONNABORTED', 'ECANCELED', 'ENOTCONN', 'ESTALE'] as const).map(
    (name) => -constants.errno[name],
  ),
);

/** Tells whether an error is one of these. Node has no name for ESTALE: the number decides. */
export function tellsOfEnd(error: unknown): error is SystemError {
  return isSystemError(error) && ENDED.has(-Math.abs(error.errno));
}
