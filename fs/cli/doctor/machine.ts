/** The checks of `eventfs doctor` that concern the machine. They need no mount. */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  readdirSync,
} from 'node:fs';
import { release } from 'node:os';
import { commandOf } from '../../client/status.js';
import { UserError, errnoText, isSystemError } from '../../shared/errors.js';
import { seesOwnNamespace } from '../../shared/kernel/namespaces.js';
import { type Finding, mendFor } from './finding.js';

/** pidfd_open(2) came with Linux 5.3, and the other required features with 5.4. */
const OLDEST_KERNEL = [5, 4] as const;

/** Checks whether Node can load the addon. */
export async function checkAddon(): Promise<Finding[]> {
  try {
    await import('#native');
    return [
      { level: 'ok', what: `Node.js ${process.versions.node}, and the addon is built for it` },
    ];
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
    return [
      {
        level: 'fail',
        what: `the addon can't be loaded by Node.js ${process.versions.node}: ${why}`,
        mend: 'build it: make all, in the directory of eventfs',
      },
    ];
  }
}

/** Checks whether the kernel is new enough. */
export function checkKernel(): Finding[] {
  const [major, minor] = release()
    .split('.')
    .map((part) => parseInt(part, 10));
  const isOld =
    major < OLDEST_KERNEL[0] || (major === OLDEST_KERNEL[0] && minor < OLDEST_KERNEL[1]);
  if (isOld)
    return [
      {
        level: 'fail',
        what: `Linux ${release()} is too old`,
        mend: `eventfs needs Linux ${OLDEST_KERNEL.join('.')} or newer`,
      },
    ];
  return [{ level: 'ok', what: `Linux ${release()}` }];
}

/** Checks whether this process may open /dev/fuse. */
export function checkFuse(): Finding[] {
  const isThere = /^(nodev)?\tfuse$/m.test(readFileSync('/proc/filesystems', 'latin1'));
  try {
    closeSync(openSync('/dev/fuse', constants.O_RDWR));
    return [{ level: 'ok', what: '/dev/fuse can be opened' }];
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const mend = !isThere
      ? 'modprobe fuse'
      : error.code === 'ENOENT'
        ? 'mknod -m 666 /dev/fuse c 10 229, or give the container the device: --device /dev/fuse'
        : 'chmod 666 /dev/fuse; in a container also allow the device (c 10:229 rwm)';
    // Only a process that mounts needs /dev/fuse.
    const asUser = `to use a mount of root's it is not needed; to mount, ask the administrator: ${mend}`;
    return [
      {
        level: 'fail',
        what: `/dev/fuse: ${errnoText(error.errno)}${isThere ? '' : ', and the kernel has no FUSE'}`,
        mend: mendFor(mend, asUser),
      },
    ];
  }
}

/** Checks whether /proc shows all processes: the daemon reads from it which process is an owner. */
export function checkProc(): Finding[] {
  if (!seesOwnNamespace()) {
    return [
      {
        level: 'fail',
        what: '/proc shows another PID namespace than ours',
        mend: mendFor('mount -t proc proc /proc'),
      },
    ];
  }
  const [, options] = [
    ...readFileSync('/proc/self/mounts', 'latin1').matchAll(/^\S+ \/proc proc (\S+)/gm),
  ].at(-1) ?? ['', ''];
  const hidden = /hidepid=(\w+)/.exec(options)?.[1];
  if (hidden !== undefined && hidden !== '0' && hidden !== 'off' && process.getuid?.() !== 0) {
    return [
      {
        level: 'warn',
        what: `/proc hides other users' processes (hidepid=${hidden}): a daemon that is not root does not know who makes directories`,
        mend: 'ask the administrator: run the daemon as root, or mount -o remount,hidepid=0 /proc',
      },
    ];
  }
  return [{ level: 'ok', what: '/proc shows all processes' }];
}

/** Checks whether /sys is mounted and writable. */
export function checkSysfs(): Finding[] {
  if (!existsSync('/sys/kernel/uevent_seqnum')) {
    return [
      {
        level: 'warn',
        what: '/sys is not mounted: losses are not counted at the start, and coldplug finds no devices',
        mend: mendFor('mount -t sysfs sysfs /sys'),
      },
    ];
  }
  try {
    accessSync('/sys/class/mem/null/uevent', constants.W_OK);
    return [{ level: 'ok', what: '/sys can be written: coldplug works' }];
  } catch {
    if (process.getuid?.() !== 0)
      return [{ level: 'ok', what: '/sys is written by root only: coldplug is for root' }];
    return [
      {
        level: 'warn',
        what: "/sys can't be written by us: coldplug does not work",
        mend: 'mount -o remount,rw /sys',
      },
    ];
  }
}

/** The initial user namespace maps each uid to itself: user_namespaces(7). */
const INITIAL_UID_MAP = /^\s*0\s+0\s+4294967295\s*$/;

/**
 * Reports a user namespace other than the initial one. A container with its own users can't have an
 * idmapped mount of eventfs (docs/decisions/072-idmapped-mounts.md).
 */
export function checkUserNamespace(): Finding[] {
  if (INITIAL_UID_MAP.test(readFileSync('/proc/self/uid_map', 'latin1'))) return [];
  const what =
    'we are in a user namespace: users outside have other numbers here, and an idmapped mount of eventfs is refused (EINVAL)';
  return [
    {
      level: 'ok',
      what,
      mend: 'bind it without idmap; in Kubernetes hostUsers: true, or --socket PATH:0666 below a volume that can be idmapped',
    },
  ];
}

/** Checks whether this process may listen to the kernel's netlink group. */
export async function checkNetlink(): Promise<Finding[]> {
  const { UeventSocket } = await import('#native');
  const slotBytes = 16384;
  try {
    new UeventSocket({
      group: 1,
      receiveBufferBytes: slotBytes,
      data: new Uint8Array(slotBytes),
      slotBytes,
      meta: new Uint32Array(6),
      onBatch: () => undefined,
    }).close();
    return [{ level: 'ok', what: "the kernel's events can be listened to" }];
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return [
      {
        level: 'fail',
        what: `the kernel's events can't be listened to: ${error.message}`,
        mend: 'outside of a sandbox that forbids netlink (systemd: RestrictAddressFamilies=AF_NETLINK), or mount with --source none',
      },
    ];
  }
}

/** Other programs that act on device events, and how they relate to eventfs. */
const MANAGERS: Readonly<Record<string, string>> = {
  'systemd-udevd':
    "events are here before its rules have run; udev's own group has them after (mount --source udev)",
  udevd:
    "events are here before its rules have run; udev's own group has them after (mount --source udev)",
  mdevd:
    'events are here while it works on them; its mdevd.conf can tell when it has done (examples/mdevd.conf)',
  mdev: 'events are here while it works on them; its mdev.conf can tell when it has done (examples/mdev.conf)',
  vdevd:
    'events are here while it works on them; an action can tell when it has done (examples/eventfs.act)',
};

/** Finds the device managers that run: one finding for each program. */
export function checkManagers(): Finding[] {
  const pids = new Map<string, string>(); // by name: a manager may have worker processes
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const name = commandOf(Number(pid));
    if (Object.hasOwn(MANAGERS, name) && !pids.has(name)) pids.set(name, pid);
  }
  if (pids.size === 0) return [{ level: 'ok', what: 'no other device manager is running' }];
  return [...pids].map(([name, pid]) => ({
    level: 'ok',
    what: `${name} (pid ${pid}) is running: ${MANAGERS[name]}`,
  }));
}

/**
 * Checks whether the daemon would accept its configuration.
 *
 * @param path the configuration file
 * @param read reads it; throws a UserError if `eventfs mount` would refuse it
 */
export async function checkConfiguration(
  path: string,
  read: () => Promise<unknown>,
): Promise<Finding[]> {
  if (!existsSync(path))
    return [{ level: 'ok', what: `${path} is not there: everything has its default` }];
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    if (isSystemError(error, 'EACCES'))
      return [
        {
          level: 'ok',
          what: `${path} is for others to read: whether it is right, the daemon's user can ask`,
        },
      ];
  }
  try {
    await read();
    return [{ level: 'ok', what: `${path} can be read` }];
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [{ level: 'fail', what: error.message, mend: mendFor(`edit ${path}`) }];
  }
}
