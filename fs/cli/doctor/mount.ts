/** The checks of `eventfs doctor` that concern one mount. */
import { accessSync, constants, readFileSync, readlinkSync } from 'node:fs';
import { isSystemError } from '../../shared/errors.js';
import { KEPT_OUT, keepsOut, mountPath, probe } from '../../client/probe.js';
import { commandOf, readStatusFile } from '../../client/status.js';
import { RING_PARAMETER, isRingOffered, suitsRing } from '../../shared/kernel/ring-parameter.js';
import { parseMountinfo } from '../../shared/kernel/mountinfo.js';
import { type Finding, mendFor, mendOnMachine } from './finding.js';
import { MORE_DESCRIPTORS, MUCH, checkLimits } from './limits.js';
import { checkSource, checkSubscribers } from './losses.js';
import { checkRequests, stuckText } from './requests.js';
import { checkSharing } from './without-root.js';

/** The notifier's name in /proc; the kernel keeps 15 bytes. */
const NOTIFIER = 'eventfs-notify';

/**
 * Checks a mount. If no daemon answers there, only that is reported.
 *
 * @param directory the mount, or a symlink to it
 * @param isNamed whether the user has named it. Else a missing mount is no failure: it may come yet
 */
export async function checkMount(directory: string, isNamed: boolean): Promise<Finding[]> {
  const path = mountPath(directory);
  switch (await probe(path)) {
    case 'none':
      return [
        {
          level: isNamed ? 'fail' : 'warn',
          what: `${path}: eventfs is not mounted here`,
          mend: mendFor(
            `eventfs mount ${path}`,
            `mount one in a directory of your own: eventfs mount ~/events, then --mount ~/events; or ask the administrator: eventfs mount ${path}`,
          ),
        },
      ];
    case 'other':
      return [
        {
          level: 'fail',
          what: `${path}: the filesystem mounted here is not eventfs`,
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
          what: `${path}: its daemon does not answer; ${stuckText(path)}`,
          mend: mendFor(
            `eventfs umount ${path}, which aborts the mount; then eventfs mount ${path}`,
          ),
        },
      ];
    case 'alive':
  }
  return keepsOut(path) ? [keptOut(path)] : checkAlive(path);
}

function keptOut(path: string): Finding {
  return {
    level: 'warn',
    what: `${path}: ${KEPT_OUT}`,
    mend: 'run eventfs doctor as that user, or ask for a mount with allow_other',
  };
}

async function checkAlive(path: string): Promise<Finding[]> {
  const status = readStatusFile(`${path}/log`);
  return [
    { level: 'ok', what: `${path}: served by process ${status.get('DAEMON')}` },
    ...checkGuardian(status.get('GUARDED'), path),
    ...checkTransport(status.get('TRANSPORT'), status.has('GUARDED')),
    ...checkOptions(path),
    ...checkDaemon(Number(status.get('DAEMON')), Number(status.get('OWNERS'))),
    ...checkLimits(status),
    ...(await checkRequests(path, status)),
    ...checkSource(status),
    ...checkSubscribers(path, status),
    ...checkNotifier(Number(status.get('DAEMON'))),
    ...checkPublish(path),
    firstLook(path),
  ];
}

/** Says what to type at a shell: a newcomer's first directory often ends at once. */
function firstLook(path: string): Finding {
  return {
    level: 'ok',
    what: `${path}/foo, made by the command mkdir, ends at once: its owner is that mkdir`,
    mend: `mkdir ${path}/$$.foo belongs to the shell in which it is typed`,
  };
}

/** Reports whether the mount outlives its daemon. */
function checkGuardian(holder: string | undefined, path: string): Finding[] {
  if (holder === undefined) return [];
  if (holder !== 'lost')
    return [{ level: 'ok', what: `${path}: the mount outlives its daemon (${holder})` }];
  return [
    {
      level: 'warn',
      what: `${path}: its guardian has ended, so nothing starts the daemon again`,
      mend: `eventfs umount ${path}; then eventfs mount --guard ${path}`,
    },
  ];
}

/**
 * Reports how requests reach the daemon. io_uring is worth it with several CPUs. The driver
 * fuse-native reports no transport.
 *
 * @param isHeld whether a holder keeps the mount: the kernel gives no ring to another daemon
 */
function checkTransport(transport: string | undefined, isHeld: boolean): Finding[] {
  if (transport === undefined) return [];
  if (isHeld)
    return [
      {
        level: 'ok',
        what: 'requests are read from /dev/fuse: a mount that outlives its daemon has no io_uring',
      },
    ];
  if (transport !== 'read') return [{ level: 'ok', what: 'requests come through io_uring' }];
  const what = 'requests are read from /dev/fuse';
  if (isRingOffered() !== false || !suitsRing()) return [{ level: 'ok', what }];
  return [
    {
      level: 'ok',
      what: `${what}; the kernel offers io_uring, but it is switched off`,
      mend: mendOnMachine(
        `echo Y > ${RING_PARAMETER}, and mount again: this saves work for each reader`,
      ),
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
      what: `${path}: ${lines.length} mounts are stacked here, and only the last is visible`,
      mend: mendFor(`umount ${path}, ${lines.length - 1} times`),
    });
  }
  const options = lines[lines.length - 1].split(' ').pop()!.split(',');
  if (!options.includes('default_permissions'))
    found.push({
      level: 'warn',
      what: `${path}: mounted without default_permissions: the kernel checks no permissions`,
      mend: mendFor(`eventfs umount ${path}; eventfs mount ${path}`),
    });
  if (!options.includes('allow_other')) found.push(checkSharing(path));
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
      what: 'the daemon is in another PID namespace: mkdir takes PIDs of this namespace, and eventfs status shows PIDs of the other',
    });
  }
  return found;
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
        what: `inotify: ${NOTIFIER} does not run: watchers hear of files that programs make, and not of delivered events`,
        mend: mendFor(
          'make all, and mount again; the driver fuse-native has no notifier',
          'wait with poll(2) on .stream, or ask the administrator',
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
    return [{ level: 'ok', what: 'you may publish events' }];
  } catch {
    return [
      { level: 'ok', what: `you may not publish events: ${path}/publish is not writable for you` },
    ];
  }
}
