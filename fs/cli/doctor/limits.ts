/** The checks of `eventfs doctor` that concern limits and quotas. */
import type { Item, Limit } from '../../shared/quota-items.js';
import {
  type Status,
  type StatusKey,
  parseHeld,
  quotaOwner,
  refusalOf,
} from '../../shared/status-lines.js';
import { type Finding, mendFor } from './finding.js';

/** The fraction of a limit above which doctor warns. */
export const MUCH = 0.8;

/** The remedy for a daemon that lacks descriptors. */
export const MORE_DESCRIPTORS =
  'ulimit -Hn 1048576, or LimitNOFILE=1048576, before the daemon starts';

/** By item of a quota: the way to make room, for a user that the quota refuses more. */
const LET_GO: Readonly<Record<Item, string>> = {
  directories: 'end processes that own directories, or rmdir the directories',
  streams: 'close streams that no process reads',
  reads: 'block in fewer reads at once, or wait with poll(2)',
  events: 'read and rm the waiting events, or set a .filter',
  bytes: 'read and rm the waiting events, or set a .filter',
  memory: 'have fewer directories, open files and large filters',
  filter_cost: 'have fewer filters, or name a SUBSYSTEM in each',
};

/** The scope of a limit in words, by its kind. */
const SCOPES: Readonly<Record<string, string>> = {
  uid: 'of a user',
  gid: 'of a group',
  mount: 'of the whole mount',
};

/**
 * Reports each limit that has refused a request since the daemon's start, and each account that is
 * near a limit now.
 *
 * @param status the lines of `log/.status`
 */
export function checkLimits(status: Status): Finding[] {
  const refused = [...status].flatMap(([key, count]) => {
    const limit = refusalOf(key);
    return limit === undefined ? [] : [refusal(limit, count)];
  });
  const near = [...status].flatMap(([key, text]) => nearLimits(key, text));
  const found = [...refused, ...near];
  return found.length > 0 ? found : [{ level: 'ok', what: 'no limit has refused a request' }];
}

function refusal(limit: Limit | 'descriptors', count: string): Finding {
  if (limit === 'descriptors')
    return {
      level: 'warn',
      what: `the daemon had no descriptor for a new owner, or for the notifier, ${count} times`,
      mend: mendFor(MORE_DESCRIPTORS),
    };
  if (limit === 'reads')
    return {
      level: 'warn',
      what: `${count} reads could not wait, because too many others waited (EAGAIN)`,
      mend: LET_GO.reads,
    };
  const [kind] = limit.split('_', 1);
  const item = limit.slice(kind.length + 1) as Item;
  const section = kind === 'mount' ? '[limits]' : `[quota.${kind}.default]`;
  const what = `the limit ${SCOPES[kind]} on ${item} refused ${count} times (${kind === 'mount' ? 'ENOSPC' : 'EDQUOT'})`;
  const raise = `${raising(item, section)}${kind === 'mount' && item === 'memory' ? '; a larger heap needs NODE_OPTIONS=--max-old-space-size=MIB' : ''}`;
  return {
    level: 'warn',
    what,
    mend: mendFor(raise, `${LET_GO[item]}; or ask the administrator: ${raise}`),
  };
}

/** Returns the remedy for root: how to raise a limit. */
function raising(item: string, section: string): string {
  return `raise ${item} in ${section} of the configuration, then send the daemon SIGHUP`;
}

/** Reports each item of which a user or group holds nearly as much as it may. */
function nearLimits(key: StatusKey, text: string): Finding[] {
  const owner = quotaOwner(key);
  if (owner === undefined) return [];
  const { kind, id } = owner;
  return Object.entries(parseHeld(text)).flatMap(([item, { held, most }]): Finding[] => {
    if (held <= most * MUCH) return [];
    const raise = raising(item, `[quota.${kind}.${id}]`);
    return [
      {
        level: 'warn',
        what: `${kind} ${id} holds ${held} of ${most} ${item}`,
        mend: mendFor(raise, `${LET_GO[item as Item]}; or ask the administrator: ${raise}`),
      },
    ];
  });
}
