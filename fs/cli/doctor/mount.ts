/** The checks of `eventfs doctor` that concern one mount. */
import { accessSync, constants, readFileSync, readlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { isSystemError } from '../../shared/errors.js';
import { mountPath, probe } from '../../client/probe.js';
import { RING_PARAMETER, isRingOffered } from '../../shared/kernel/ring-parameter.js';
import { parseMountinfo } from '../../shared/kernel/mountinfo.js';
import { DEFAULT_CONFIG } from '../../daemon/config/config.js';
import { textOf } from '../terminal/output.js';
import { type Finding, mendFor } from './finding.js';
import { commandOf, processDirectories, readStatusFile, streams } from '../../client/status.js';
import type { Item, Limit } from '../../shared/quota-items.js';
import {
  type Status,
  type StatusKey,
  parseHeld,
  quotaOwner,
  refusalOf,
} from '../../shared/status-lines.js';

/** The notifier's name in /proc; the kernel keeps 15 bytes. */
const NOTIFIER = 'eventfs-notify';
/** The part of a bound from which on its use is worth a warning. */
const MUCH = 0.8;
/** The receive buffer that the daemon asks for, in bytes (sources/kernel.ts). */
const WANTED_BUFFER_BYTES = 128 * 1024 * 1024;

/**
 * Checks a mount. If no daemon answers there, only that is reported.
 *
 * @param directory the mount, or a symlink to it
 */
export async function checkMount(directory: string): Promise<Finding[]> {
  const path = mountPath(directory);
  switch (await probe(path)) {
    case 'none':
      return [
        {
          level: 'warn',
          what: `${path}: eventfs is not mounted here`,
          mend: mendFor(
            `eventfs mount ${path}`,
            `ask the administrator: eventfs mount ${path}; or one of your own, for your processes: unshare -rm, then eventfs mount DIR in it`,
          ),
        },
      ];
    case 'other':
      return [
        {
          level: 'fail',
          what: `${path}: what is mounted here is not eventfs`,
          mend: mendFor(
            `umount ${path}, or choose another directory: --mount DIR`,
            'choose another directory: --mount DIR',
          ),
        },
      ];
    case 'stale':
      return [
        {
          level: 'fail',
          what: `${path}: its daemon was killed`,
          mend: mendFor(`eventfs mount ${path} (or eventfs umount ${path})`),
        },
      ];
    case 'stuck':
      return [
        {
          level: 'fail',
          what: `${path}: its daemon does not answer`,
          mend: mendFor(`eventfs umount ${path}, which aborts it; then mount again`),
        },
      ];
    case 'alive':
  }
  const status = readStatusFile(`${path}/log`);
  return [
    { level: 'ok', what: `${path}: served by process ${status.get('DAEMON')}` },
    ...checkTransport(status.get('TRANSPORT')),
    ...checkOptions(path),
    ...checkDaemon(Number(status.get('DAEMON')), Number(status.get('OWNERS'))),
    ...checkLimits(status),
    ...checkSource(status),
    ...checkSubscribers(path, status),
    ...checkNotifier(Number(status.get('DAEMON'))),
    ...checkPublish(path),
  ];
}

/**
 * Reports how requests reach the daemon. io_uring is worth it with several CPUs. The driver
 * fuse-native reports no transport.
 */
function checkTransport(transport: string | undefined): Finding[] {
  if (transport === undefined) return [];
  if (transport !== 'read') return [{ level: 'ok', what: 'requests come through io_uring' }];
  const what = 'requests are read from /dev/fuse';
  if (isRingOffered() !== false || availableParallelism() === 1) return [{ level: 'ok', what }];
  return [
    {
      level: 'ok',
      what: `${what}; the kernel has io_uring for it, switched off`,
      mend: mendFor(`for less work a reader: echo Y > ${RING_PARAMETER}, and mount again`),
    },
  ];
}

/** Checks mountinfo: whether several mounts are stacked on the path, and the mount's options. */
function checkOptions(path: string): Finding[] {
  const text = readFileSync('/proc/self/mountinfo', 'latin1');
  const lines = text
    .split('\n')
    .filter((line) => line !== '' && parseMountinfo(line)[0]?.mountPoint === path);
  const found: Finding[] = [];
  if (lines.length > 1) {
    found.push({
      level: 'warn',
      what: `${path}: ${lines.length} mounts are stacked here, and only the last is seen`,
      mend: mendFor(`umount ${path}, ${lines.length - 1} times`),
    });
  }
  const options = lines[lines.length - 1].split(' ').pop()!.split(',');
  for (const [option, without] of [
    ['default_permissions', 'nobody checks permissions'],
    ['allow_other', 'other users, and root, are kept out'],
  ]) {
    if (!options.includes(option))
      found.push({
        level: 'warn',
        what: `${path}: mounted without ${option}: ${without}`,
        mend: mendFor(`eventfs umount ${path}; eventfs mount ${path}`),
      });
  }
  return found;
}

/** Compares the number of owners with the daemon's limit of open files: each owner costs one. */
function checkDaemon(pid: number, owners: number): Finding[] {
  const found: Finding[] = [];
  try {
    if (readlinkSync(`/proc/${pid}/ns/pid`) !== readlinkSync('/proc/self/ns/pid'))
      throw new Error('another');
    const limit = Number(
      /^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'latin1'))?.[1] ??
        Infinity,
    );
    const what = `${owners} processes own directories, of at most ${limit} (the daemon's limit of open files)`;
    found.push(
      owners > limit * MUCH
        ? { level: 'warn', what, mend: mendFor(MORE_DESCRIPTORS) }
        : { level: 'ok', what },
    );
  } catch (error) {
    if (isSystemError(error, 'EACCES') || isSystemError(error, 'EPERM')) return [];
    // /proc may hide the daemon from this user
    if (isSystemError(error, 'ENOENT') && process.getuid?.() !== 0) return [];
    found.push({
      level: 'ok',
      what: 'the daemon is in another PID namespace: directories are named by the PIDs of ours, and status shows its',
    });
  }
  return found;
}

const MORE_DESCRIPTORS = 'ulimit -Hn 1048576, or LimitNOFILE=, before the daemon starts';

/** What a refused user can do about it, by item. */
const LET_GO: Readonly<Record<Item, string>> = {
  directories: 'end processes that own directories, or rmdir those',
  streams: 'close streams that are not read',
  reads: 'block in fewer reads at once; poll(2) waits for many',
  events: 'read and rm what waits, or set a .filter',
  bytes: 'read and rm what waits, or set a .filter',
  memory: 'have fewer directories, open files and large filters',
  filter_cost: 'have fewer filters, or name a subsystem in them',
};

/** The scope of a limit in words, by its kind. */
const WHOSE: Readonly<Record<string, string>> = {
  uid: 'of a user',
  gid: 'of a group',
  mount: 'of the whole mount',
};

/**
 * Reports each limit that has refused a request since the daemon's start, and each account that is
 * near a limit now.
 */
function checkLimits(status: Status): Finding[] {
  const refused = [...status].flatMap(([key, count]) => {
    const limit = refusalOf(key);
    return limit === undefined ? [] : [refusal(limit, count)];
  });
  const near = [...status].flatMap(([key, text]) => nearLimits(key, text));
  const found = [...refused, ...near];
  return found.length > 0 ? found : [{ level: 'ok', what: 'no limit has refused anything' }];
}

function refusal(limit: Limit | 'descriptors', count: string): Finding {
  if (limit === 'descriptors')
    return {
      level: 'warn',
      what: `the daemon had no descriptor for a new owner ${count} times (ENFILE)`,
      mend: mendFor(MORE_DESCRIPTORS),
    };
  if (limit === 'reads')
    return {
      level: 'warn',
      what: `${count} reads could not wait, as too many do (EAGAIN)`,
      mend: LET_GO.reads,
    };
  const [kind] = limit.split('_', 1);
  const item = limit.slice(kind.length + 1) as Item;
  const section = kind === 'mount' ? '[limits]' : `[quota.${kind}.default]`;
  const what = `the limit ${WHOSE[kind]} on ${item} refused ${count} times (${kind === 'mount' ? 'ENOSPC' : 'EDQUOT'})`;
  const raise = `raise ${item} in ${section} of the configuration, then SIGHUP${kind === 'mount' && item === 'memory' ? '; a larger heap: NODE_OPTIONS=--max-old-space-size=' : ''}`;
  return {
    level: 'warn',
    what,
    mend: mendFor(raise, `${LET_GO[item]}; or ask the administrator: ${raise}`),
  };
}

/** Reports each item of which a user or group holds nearly as much as it may. */
function nearLimits(key: StatusKey, text: string): Finding[] {
  const owner = quotaOwner(key);
  if (owner === undefined) return [];
  const { kind, id } = owner;
  return Object.entries(parseHeld(text)).flatMap(([item, { held, most }]): Finding[] => {
    if (held <= most * MUCH) return [];
    const raise = `raise ${item} in [quota.${kind}.${id}] of the configuration, then SIGHUP`;
    return [
      {
        level: 'warn',
        what: `${kind} ${id} holds ${held} of ${most} ${item}`,
        mend: mendFor(raise, `${LET_GO[item as Item]}; or ask the administrator: ${raise}`),
      },
    ];
  });
}

function checkSource(status: Status): Finding[] {
  const buffer = status.get('KERNEL_BUFFER');
  if (buffer === undefined)
    return [
      {
        level: 'ok',
        what: 'the kernel is no source of its: events are those that programs publish',
      },
    ];
  const number = (key: StatusKey): number => Number(status.get(key) ?? 0);
  const found: Finding[] = [];
  if (Number(buffer) < WANTED_BUFFER_BYTES) {
    found.push({
      level: 'warn',
      what: `the kernel has granted a receive buffer of ${buffer} bytes, of ${WANTED_BUFFER_BYTES}: many events at once may be lost`,
      mend: mendFor(
        `give the daemon CAP_NET_ADMIN, or sysctl -w net.core.rmem_max=${WANTED_BUFFER_BYTES}`,
      ),
    });
  }
  if (number('LOST') > 0 || number('KERNEL_OVERRUNS') > 0) {
    found.push({
      level: 'warn',
      what: `${number('LOST')} events of the kernel's were lost in ${number('KERNEL_OVERRUNS')} overruns; every queue has an overflow record`,
      mend: mendFor(
        'eventfs coldplug, to hear of all devices again; more CPU for the daemon',
        'look in /sys for what there is now, or ask the administrator: eventfs coldplug',
      ),
    });
  }
  if (number('KERNEL_FORGED') > 0)
    found.push({
      level: 'warn',
      what: `${number('KERNEL_FORGED')} forged events were dropped: somebody sends what only the kernel may`,
      mend: mendFor('look for processes with CAP_NET_ADMIN'),
    });
  if (number('KERNEL_GAPS') > 0)
    found.push({
      level: 'ok',
      what: `${number('KERNEL_GAPS')} SEQNUMs did not come, as other network namespaces have them`,
    });
  if (found.every(({ level }) => level === 'ok'))
    found.push({
      level: 'ok',
      what: `no event of ${status.get('KERNEL')} was lost on the way from the kernel`,
    });
  return found;
}

function checkSubscribers(path: string, status: Status): Finding[] {
  const subscribers = [...processDirectories(path).readable, ...streams(status)];
  const lagging = subscribers.filter(
    ({ pending, lost }) => lost > 0 || pending > DEFAULT_CONFIG.queue.events * MUCH,
  );
  if (lagging.length === 0)
    return [{ level: 'ok', what: `${subscribers.length} subscribers, and none lags` }];
  return lagging.map(({ what, pid, command, pending, lost }) => ({
    level: 'warn',
    what: `${textOf(command)} (pid ${pid}) does not keep up with ${textOf(what)}: ${pending} events wait, ${lost} were lost`,
    mend: isOurs(pid)
      ? 'have it read, or give it a filter: .filter'
      : 'its user must have it read, give it a filter, or end it',
  }));
}

/** Tells whether this process may signal another: it belongs to the same user, or we are root. */
function isOurs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Checks whether the notifier runs: a child of the daemon that raises inotify events. */
function checkNotifier(daemon: number): Finding[] {
  try {
    const children = readFileSync(`/proc/${daemon}/task/${daemon}/children`, 'latin1')
      .split(' ')
      .filter(Boolean);
    const running = children.find((pid) => commandOf(Number(pid)) === NOTIFIER);
    if (running !== undefined)
      return [{ level: 'ok', what: `inotify: ${NOTIFIER} (pid ${running}) runs` }];
    return [
      {
        level: 'warn',
        what: `inotify: ${NOTIFIER} does not run: watchers see what programs make, and not what the daemon delivers`,
        mend: mendFor(
          'with --driver fuse-native that is so; else make all, and mount again',
          'look again and again (ls), or poll .stream; or ask the administrator',
        ),
      },
    ];
  } catch {
    return []; // the daemon is in another PID namespace
  }
}

function checkPublish(path: string): Finding[] {
  try {
    accessSync(`${path}/publish`, constants.W_OK);
    return [{ level: 'ok', what: 'we may publish events' }];
  } catch {
    return [{ level: 'ok', what: `we may not publish events: ${path}/publish is for its owner` }];
  }
}
