/** The checks of `eventfs doctor` that concern requests: stuck ones, and the kernel's limits. */
import {
  type Unknown,
  abortFile,
  countWaiting,
  readWaiting,
} from '../../client/waiting-requests.js';
import { CONNECTIONS } from '../../shared/kernel/connection.js';
import {
  DEFAULT_TIMEOUT,
  LONGEST_TIMEOUT_S,
  MAX_TIMEOUT,
  readRequestTimeouts,
} from '../../shared/kernel/request-timeout.js';
import type { Status } from '../../shared/status-lines.js';
import { counted } from '../terminal/numbers.js';
import { type Finding, mendFor, mendOnMachine } from './finding.js';

/** The limit that eventfs needs at least, in seconds: drivers/common/read-life.ts. */
const SHORTEST_LIMIT_S = 60;

/** Reports the kernel's limits on the age of requests, for later mounts. */
export function checkRequestTimeouts(): Finding[] {
  const { byDefault, max } = readRequestTimeouts();
  const shown = `${DEFAULT_TIMEOUT} is ${byDefault}, ${MAX_TIMEOUT} is ${max}`;
  if (byDefault === 0 && max === 0)
    return [{ level: 'ok', what: `the kernel allows requests any time: ${shown}` }];
  if (max === 0)
    return [{ level: 'ok', what: `${shown}: eventfs asks for ${LONGEST_TIMEOUT_S} s instead` }];
  if (max >= SHORTEST_LIMIT_S)
    return [
      {
        level: 'warn',
        what: `${shown}: reads of a new mount that wait for events end with EINTR 30 s before that`,
        mend: mendOnMachine(`sysctl ${MAX_TIMEOUT}=0, before the mount`),
      },
    ];
  return [
    {
      level: 'fail',
      what: `${shown}, and eventfs needs at least ${SHORTEST_LIMIT_S}`,
      mend: mendOnMachine(`sysctl ${MAX_TIMEOUT}=0, or ${SHORTEST_LIMIT_S} or more`),
    },
  ];
}

/**
 * Reports the requests that wait for a daemon that answers, and those that it gave up.
 *
 * @param path the mount's path
 */
export async function checkRequests(path: string, status: Status): Promise<Finding[]> {
  const waiting = await readWaiting(path);
  const hung = Number(status.get('HUNG') ?? 0);
  const found: Finding[] = [];
  if (typeof waiting === 'string') found.push(unknown(waiting));
  else if (waiting.stuck === 0)
    found.push({
      level: 'ok',
      what: `${counted(waiting.blocked, 'blocked read')}, and no other request waits`,
    });
  else
    found.push({
      level: 'warn',
      what: `${counted(waiting.stuck, 'request')} got no answer for most of a second, besides ${counted(waiting.blocked, 'blocked read')}`,
      mend: mendFor(abort(path)),
    });
  if (hung > 0)
    found.push({
      level: 'warn',
      what: `${counted(hung, 'request')} ended with EIO, because the daemon worked on one for longer than --request-bound`,
      mend: 'look for "its handler took" in the log of the daemon, and report this bug',
    });
  return found;
}

/**
 * Says how many requests wait for a daemon that does not answer.
 *
 * @param path the mount's path
 */
export function stuckText(path: string): string {
  const waiting = countWaiting(path);
  return typeof waiting === 'number'
    ? `${counted(waiting, 'request')} wait for it, blocked reads included`
    : unknown(waiting).what;
}

/** Returns the remedy for root: how to end all requests of a mount. */
function abort(path: string): string {
  return `echo 1 > ${abortFile(path)}, which ends all requests and the mount; then eventfs mount ${path}`;
}

function unknown(why: Unknown): Finding {
  if (why === 'refused')
    return { level: 'ok', what: 'only root and the user of the mount may count its requests' };
  return {
    level: 'ok',
    what: `fusectl is not mounted on ${CONNECTIONS}, so stuck requests can't be counted`,
    mend: mendFor(`mount -t fusectl fusectl ${CONNECTIONS}`),
  };
}
