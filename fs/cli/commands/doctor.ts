/** `eventfs doctor`: finds faults of this machine or mount, and names remedies. */
import {
  checkAddon,
  checkConfiguration,
  checkFuse,
  checkKernel,
  checkManagers,
  checkNetlink,
  checkProc,
  checkSysfs,
  checkUserNamespace,
} from '../doctor/machine.js';
import { ExitCode } from '../terminal/explain.js';
import type { Finding } from '../doctor/finding.js';
import { checkRequestTimeouts } from '../doctor/requests.js';
import { print, messageLine } from '../terminal/output.js';
import { type Colors, screenOf } from '../terminal/screen.js';

/** The options of `eventfs doctor`. */
export interface DoctorOptions {
  readonly json?: boolean;
  readonly config: string;
  readonly mount: string;
  /** Whether the user has named the mount. */
  readonly isNamed: boolean;
}

/**
 * Runs all checks and prints their findings. The exit code is 1 if one of them is a failure.
 *
 * @param readConfiguration throws a UserError if `eventfs mount` would refuse the configuration
 */
export async function doctor(
  options: DoctorOptions,
  readConfiguration: () => Promise<unknown>,
): Promise<void> {
  const addon = await checkAddon();
  const isBuilt = addon.every(({ level }) => level !== 'fail');
  const findings = [
    ...addon,
    ...checkKernel(),
    ...checkFuse(),
    ...checkRequestTimeouts(),
    ...checkProc(),
    ...checkSysfs(),
    ...checkUserNamespace(),
    ...(isBuilt ? (await import('../doctor/without-root.js')).checkFusermount() : []),
    ...(isBuilt ? await checkNetlink() : []),
    ...checkManagers(),
    ...(await checkConfiguration(options.config, readConfiguration)),
    ...(isBuilt
      ? await (await import('../doctor/mount.js')).checkMount(options.mount, options.isNamed)
      : []),
  ];
  if (options.json === true) print(`${JSON.stringify(findings)}\n`);
  else {
    const { colors } = screenOf();
    print(findings.map((finding) => format(finding, colors)).join(''));
  }
  if (findings.some(({ level }) => level === 'fail')) process.exitCode = ExitCode.failed;
}

function format({ level, what, mend }: Finding, colors: Colors): string {
  const paint = { ok: colors.green, warn: colors.yellow, fail: colors.red }[level];
  const remedy = mend === undefined ? '' : `      ${messageLine(mend)}\n`;
  return `${paint(level.padEnd(4))}  ${messageLine(what)}\n${remedy}`;
}
