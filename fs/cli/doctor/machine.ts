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
import { fuseDeviceRemedy, kernelHasFuse } from '../../client/mounting/fuse-device.js';
import { commandOf } from '../../client/status.js';
import { UserError, errnoText, isSystemError } from '../../shared/errors.js';
import { isInitialUserNamespace } from '../../shared/kernel/kernels-root.js';
import { wrongProc } from '../../shared/kernel/namespaces.js';
import { isAddonError } from '../terminal/explain.js';
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
    if (!isAddonError(error)) throw error;
    return [
      {
        level: 'fail',
        what: `the addon can't be loaded by Node.js ${process.versions.node}: ${error.message}`,
        mend: error.hint,
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
        mend: `run Linux ${OLDEST_KERNEL.join('.')} or newer`,
      },
    ];
  return [{ level: 'ok', what: `Linux ${release()}` }];
}

/** Checks whether this process may open /dev/fuse. */
export function checkFuse(): Finding[] {
  try {
    closeSync(openSync('/dev/fuse', constants.O_RDWR));
    return [{ level: 'ok', what: '/dev/fuse can be opened' }];
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const mend = fuseDeviceRemedy(error.code);
    // Only a process that mounts needs /dev/fuse.
    const asUser = `a mount of root works without it; to mount, ask the administrator: ${mend}`;
    return [
      {
        level: 'fail',
        what: `/dev/fuse: ${errnoText(error.errno)}${kernelHasFuse() ? '' : ', and the kernel has no FUSE'}`,
        mend: mendFor(mend, asUser),
      },
    ];
  }
}

/** Checks whether /proc shows all processes: the daemon reads from it which process is an owner. */
export function checkProc(): Finding[] {
  const wrong = wrongProc();
  if (wrong !== null) {
    return [
      {
        level: 'fail',
        what: `/proc: ${wrong}`,
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
        what: `/proc hides other users' processes (hidepid=${hidden}): only a daemon that runs as root can tell which process makes a directory`,
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
        what: '/sys is not mounted: the daemon can not count losses at its start, and eventfs coldplug finds no devices',
        mend: mendFor('mount -t sysfs sysfs /sys'),
      },
    ];
  }
  try {
    accessSync('/sys/class/mem/null/uevent', constants.W_OK);
    return [{ level: 'ok', what: '/sys is writable: eventfs coldplug works' }];
  } catch {
    if (process.getuid?.() !== 0 || !isInitialUserNamespace())
      return [
        { level: 'ok', what: 'only root may write /sys: only root may run eventfs coldplug' },
      ];
    return [
      {
        level: 'warn',
        what: '/sys is not writable: eventfs coldplug does not work',
        mend: 'mount -o remount,rw /sys',
      },
    ];
  }
}

/**
 * Reports a user namespace other than the initial one. A container with its own users can't have an
 * idmapped mount of eventfs (docs/decisions/072-idmapped-mounts.md).
 */
export function checkUserNamespace(): Finding[] {
  if (isInitialUserNamespace()) return [];
  const what =
    'this process is in a user namespace: uids differ from those outside, and the kernel refuses an idmapped mount of eventfs (EINVAL)';
  return [
    {
      level: 'ok',
      what,
      mend: 'bind-mount it without idmap; in Kubernetes set hostUsers: true, or use --socket PATH:0666 below a volume that can be idmapped',
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
      headers: new Uint8Array(512),
      onBatch: () => undefined,
    }).close();
    return [await checkNetworkNamespace()];
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return [
      {
        level: 'fail',
        what: `this process can't receive the kernel's events: ${error.message}`,
        mend: 'allow netlink in the sandbox (systemd: RestrictAddressFamilies=AF_NETLINK), or mount with --source none',
      },
    ];
  }
}

/** Checks whether the kernel sends its events to this network namespace. */
async function checkNetworkNamespace(): Promise<Finding> {
  const { OTHER_NETWORK_REMEDY, getsKernelEvents } =
    await import('../../shared/kernel/network-namespace.js');
  if (getsKernelEvents())
    return { level: 'ok', what: "this process can receive the kernel's events" };
  return {
    level: 'warn',
    what: 'a user namespace owns this network namespace: the kernel sends it only events of its own network devices',
    mend: OTHER_NETWORK_REMEDY,
  };
}

/** The device managers, and how each relates to eventfs. */
const MANAGERS: Readonly<Record<string, string>> = {
  'systemd-udevd': beforeRules('systemd-udevd'),
  udevd: beforeRules('udevd'),
  mdevd: meanwhile('mdevd', 'mdevd.conf'),
  mdev: meanwhile('mdev', 'mdev.conf'),
  vdevd: meanwhile('vdevd', 'eventfs.act'),
};

function beforeRules(name: string): string {
  return `eventfs has events before the rules of ${name} have run; with mount --source udev it has them after the rules`;
}

function meanwhile(name: string, rules: string): string {
  return `eventfs has events while ${name} handles them; with ${rules} of share/eventfs/managers it has them afterwards`;
}

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
    return [{ level: 'ok', what: `${path} does not exist: every setting has its default` }];
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    if (isSystemError(error, 'EACCES'))
      return [
        {
          level: 'ok',
          what: `you may not read ${path}: run eventfs doctor as the daemon's user to check it`,
        },
      ];
  }
  try {
    await read();
    return [{ level: 'ok', what: `${path} is valid` }];
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [{ level: 'fail', what: error.message, mend: mendFor(`edit ${path}`) }];
  }
}
