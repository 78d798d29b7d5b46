/** The ids of users and groups by their names: getent(1), passwd(5), group(5). */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The databases of names, as getent(1) calls them. */
type AccountDatabase = 'passwd' | 'group';

const GETENT_TIMEOUT_MS = 5000;
/** (uid_t) -1 is no user: chown(2). */
export const MOST_ID = 2 ** 32 - 2;

/**
 * Returns the id of a user or group. A number is its own id, whether or not it has a name.
 *
 * @returns undefined if there is none
 */
export function accountId(database: AccountDatabase, name: string): number | undefined {
  if (/^(0|[1-9]\d{0,9})$/.test(name)) return Number(name) <= MOST_ID ? Number(name) : undefined;
  if (!/^[A-Za-z_][\w.-]{0,63}\$?$/.test(name)) return undefined;
  return idIn(ofFile(database), name) ?? idIn(ofServices(database, name), name);
}

/** Finds the third field of the line whose first field is the name. */
function idIn(lines: string, name: string): number | undefined {
  const fields = lines
    .split('\n')
    .map((line) => line.split(':'))
    .find(([first]) => first === name);
  return fields === undefined ? undefined : Number(fields[2]);
}

function ofFile(database: AccountDatabase): string {
  try {
    return readFileSync(`/etc/${database}`, 'latin1');
  } catch {
    return ''; // the names may come from another service
  }
}

/** Asks the machine's name services (nsswitch.conf(5)). */
function ofServices(database: AccountDatabase, name: string): string {
  try {
    return execFileSync('getent', [database, name], {
      encoding: 'latin1',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: GETENT_TIMEOUT_MS,
    });
  } catch {
    return ''; // there is no such name, or no getent
  }
}
