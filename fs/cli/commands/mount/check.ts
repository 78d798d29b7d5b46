/** `eventfs mount --check`: says whether a daemon could start here, and does not mount. */
import { readFileSync, statSync } from 'node:fs';
import type { Command } from 'commander';
import { mountPath, probe } from '../../../client/probe.js';
import { UsageError, UserError, isSystemError } from '../../../shared/errors.js';
import { SILENT } from '../../../shared/log/logger.js';
import { badPlace } from '../../../shared/kernel/bad-place.js';
import { isRingOffered } from '../../../shared/kernel/ring-parameter.js';
import { type Finding, findingLine } from '../../doctor/finding.js';
import {
  checkAddon,
  checkFuse,
  checkKernel,
  checkNetlink,
  checkProc,
  checkSysfs,
} from '../../doctor/machine.js';
import { checkRequestTimeouts } from '../../doctor/requests.js';
import { fusermountFinding } from '../../doctor/without-root.js';
import { requireDescriptors } from '../../inherited-descriptors.js';
import { ExitCode } from '../../terminal/explain.js';
import { print } from '../../terminal/output.js';
import { Configuration } from './configuration.js';
import { checkHolder } from './guard.js';
import { holderOption, refuseGuardConflicts, wantsHolder } from './guard-options.js';
import type { MountOptions } from './mount-options.js';

/** The bit of CAP_SYS_ADMIN in a set of capabilities: capabilities(7). */
const CAP_SYS_ADMIN = 1n << 21n;

/** A finding, and whether the options or the configuration are wrong. */
interface Checked extends Finding {
  readonly isUsage?: boolean;
}

function failure(error: UserError): Checked {
  return { level: 'fail', what: error.message, isUsage: error instanceof UsageError };
}

/**
 * Checks the options, the configuration, the directory and the machine. Prints one line a finding.
 * The exit code is 100 if the options or the configuration are wrong, and 1 if anything else would
 * keep a daemon from its start.
 *
 * @param directory the directory to mount on
 * @param command `eventfs mount` with its options parsed
 */
export async function check(directory: string, command: Command): Promise<void> {
  const addon = await checkAddon();
  const isBuilt = addon.every(({ level }) => level !== 'fail');
  const { finding, configuration } = configured(command);
  const options = configuration?.options;
  const findings: readonly Checked[] = [
    ...addon,
    ...checkKernel(),
    ...checkFuse(),
    ...checkRequestTimeouts(),
    ...checkPrivilege(),
    ...checkProc(),
    ...checkSysfs(),
    finding,
    ...(await checkDirectory(mountPath(directory))),
    ...checkDescriptors(options),
    ...(isBuilt && options !== undefined
      ? await checkOptions(directory, options, configuration!)
      : []),
  ];
  print(findings.map(findingLine).join(''));
  if (findings.some(({ isUsage }) => isUsage === true)) process.exitCode = ExitCode.usage;
  else if (findings.some(({ level }) => level === 'fail')) process.exitCode = ExitCode.failed;
}

function configured(command: Command): { finding: Checked; configuration: Configuration | null } {
  try {
    const configuration = new Configuration(command);
    refuseGuardConflicts(configuration.options);
    const { file } = configuration;
    const what = file === null ? 'no configuration file: defaults apply' : `${file} is valid`;
    return { finding: { level: 'ok', what }, configuration };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { finding: failure(error), configuration: null };
  }
}

/** Checks whether this process may mount. */
function checkPrivilege(): Finding[] {
  const [, set] = /^CapEff:\t([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))!;
  if ((BigInt(`0x${set}`) & CAP_SYS_ADMIN) !== 0n)
    return [{ level: 'ok', what: 'this process may mount' }];
  return [
    fusermountFinding('fail', {
      missing: {
        what: 'this process may not mount: it lacks CAP_SYS_ADMIN, and there is no fusermount3',
        mend: 'install fuse3, or try as root',
      },
      works: (path) => `${path} mounts for this user, with limits: see the manual`,
    }),
  ];
}

function checkDescriptors(options: MountOptions | undefined): Checked[] {
  try {
    requireDescriptors(options ?? {});
    return [];
  } catch (error) {
    if (error instanceof UserError) return [failure(error)];
    throw error;
  }
}

/** Checks whether eventfs could be mounted on a directory. */
async function checkDirectory(path: string): Promise<Finding[]> {
  const fail = (what: string, mend: string): Finding[] => [
    { level: 'fail', what: `${path}: ${what}`, mend },
  ];
  switch (await probe(path)) {
    case 'alive':
    case 'stuck':
      return fail('eventfs is mounted here already', `try eventfs umount ${path} first`);
    case 'other':
      return fail('another filesystem is mounted here', 'choose another directory');
    case 'stale':
      return [
        { level: 'ok', what: `${path}: a killed daemon has left a mount, which a start clears` },
      ];
    case 'none':
  }
  const bad = badPlace(path);
  if (bad !== null) return fail(bad.what, bad.mend);
  try {
    if (statSync(path).isDirectory())
      return [{ level: 'ok', what: `${path}: the directory is there` }];
    return fail('Not a directory', 'give a directory to mount on');
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const hints = { ENOENT: `try mkdir -p ${path}` };
    return [{ level: 'fail', what: UserError.from(error, path, hints).message }];
  }
}

/** Checks the process that holds the mount while no daemon runs. */
async function checkGuard(options: MountOptions, { config }: Configuration): Promise<Checked[]> {
  if (!wantsHolder(options)) return [];
  const option = holderOption(options);
  if (options.fdHolder === 'systemd' && (process.env.NOTIFY_SOCKET ?? '') === '')
    return [
      {
        level: 'warn',
        what: `${option}: this process is no service of systemd, so the store is not checked`,
        mend: 'set FileDescriptorStoreMax=64 and Type=notify in its unit',
      },
    ];
  try {
    (await import('../../../daemon/state.js')).refuseSmallRing(config.ring);
    await checkHolder(options);
    return [{ level: 'ok', what: option }];
  } catch (error) {
    if (error instanceof UserError) return [failure(error)];
    if (!isSystemError(error)) throw error;
    return [{ level: 'fail', what: UserError.from(error, option).message }];
  }
}

/** Checks what the options ask for: sources, transport, driver, sticky directories, outlets. */
async function checkOptions(
  directory: string,
  options: MountOptions,
  configuration: Configuration,
): Promise<Checked[]> {
  const { daemonOptions } = await import('./mount.js');
  const { checkDaemon } = await import('../../../daemon/check.js');
  const all = daemonOptions(mountPath(directory), options, configuration, SILENT);
  const parts = (await checkDaemon(all)).map(({ option, error }): Checked =>
    error === null ? { level: 'ok', what: option } : failure(error),
  );
  const needsRing = options.transport === 'io-uring' && options.driver === 'devfuse';
  const ring: Finding = {
    level: 'fail',
    what: '--transport io-uring: the kernel does not offer it',
    mend: 'echo Y > /sys/module/fuse/parameters/enable_uring, or use --transport auto',
  };
  return [
    ...(all.sources.length > 0 ? await checkNetlink() : []),
    ...(needsRing && isRingOffered() !== true ? [ring] : []),
    ...parts,
    ...(await checkGuard(options, configuration)),
  ];
}
