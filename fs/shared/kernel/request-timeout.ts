/**
 * The kernel's limits on the age of a FUSE request (Linux 6.14 and newer; fs/fuse/req_timeout.c,
 * before fs/fuse/dev.c). If a request is older, the kernel ends the whole connection. A blocked
 * read is such a request. Both limits apply to a connection from its INIT on; later changes do not.
 */
import { readFileSync } from 'node:fs';

/** The limit for daemons that ask for none, in seconds. */
export const DEFAULT_TIMEOUT = 'fs.fuse.default_request_timeout';
/** The longest limit that a daemon gets, in seconds. */
export const MAX_TIMEOUT = 'fs.fuse.max_request_timeout';

/** The longest limit that a daemon can ask for, in seconds: u16 fuse_init_out.request_timeout. */
export const LONGEST_TIMEOUT_S = 0xffff;
/** The kernel looks every 15 s, and has no shorter limit (FUSE_TIMEOUT_TIMER_FREQ). */
const SHORTEST_TIMEOUT_S = 15;

/** The values of the two sysctls in seconds; 0 for no limit. */
export interface RequestTimeouts {
  readonly byDefault: number;
  readonly max: number;
}

/** Reads the sysctls. A kernel without them has no limit. */
export function readRequestTimeouts(): RequestTimeouts {
  return { byDefault: read(DEFAULT_TIMEOUT), max: read(MAX_TIMEOUT) };
}

function read(name: string): number {
  try {
    return Number(readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'latin1'));
  } catch {
    return 0;
  }
}

/**
 * Returns the limit that the kernel applies to a new connection.
 *
 * @param asked the limit that the daemon asks for in the reply to INIT, in seconds; 0 for none
 * @returns seconds; 0 for no limit
 */
export function limitFor({ byDefault, max }: RequestTimeouts, asked: number): number {
  const wanted = asked === 0 ? byDefault : asked;
  const limit = max === 0 ? wanted : wanted === 0 ? max : Math.min(wanted, max);
  return limit === 0 ? 0 : Math.max(limit, SHORTEST_TIMEOUT_S);
}
