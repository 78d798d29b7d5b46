/** A daemon of an unprivileged user, and commands of that user. */
import * as assert from 'uvu/assert';
import { chownSync, existsSync } from 'node:fs';
import {
  type Daemon,
  type DaemonSetting,
  mountPoint,
  run,
  startDaemon,
} from '../../support/mount/daemon.js';
import { AS_NOBODY, NOBODY, eventfsForOthers } from '../../support/mount/other-user.js';

/** fusermount3 looks the user's name up, so the user must have one. */
export const FUSERMOUNT = '/usr/bin/fusermount3';

/** Why these tests can't run; null if they can. */
export const MISSING = existsSync(FUSERMOUNT) ? null : `${FUSERMOUNT} is missing: install fuse3`;

/** Makes a mount point that belongs to the user. */
export function ownMountPoint(): string {
  const path = mountPoint();
  chownSync(path, NOBODY, NOBODY);
  return path;
}

/**
 * Starts a daemon as the user, on a directory of that user.
 * @param wrap a command that the user runs the daemon by
 */
export function startAsUser(
  args: readonly string[],
  { wrap = [], ...setting }: DaemonSetting & { readonly wrap?: readonly string[] } = {},
  path = ownMountPoint(),
): Promise<Daemon> {
  return startDaemon(args, path, {
    under: [...AS_NOBODY, ...wrap],
    eventfs: eventfsForOthers(),
    ...setting,
  });
}

type Ended = Awaited<ReturnType<typeof run>>;

/** Runs `eventfs` as the user. */
export function asUser(...args: readonly string[]): Promise<Ended> {
  return run([...AS_NOBODY, ...eventfsForOthers(), ...args]);
}

/** Runs a shell's commands as the user; they must succeed. @returns their output */
export async function sh(commands: string, under: readonly string[] = []): Promise<string> {
  const { out, err, code } = await run([...under, ...AS_NOBODY, 'sh', '-c', commands]);
  assert.is(code, 0, `${commands}: ${err}`);
  return out;
}

/** Returns the findings of `eventfs doctor` that are not ok, as the user sees them. */
export async function findings(
  path: string,
  under: readonly string[] = [],
): Promise<{ level: string; what: string; mend?: string }[]> {
  const { out, err } = await run([
    ...under,
    ...AS_NOBODY,
    ...eventfsForOthers(),
    'doctor',
    '--json',
    '--mount',
    path,
  ]);
  assert.is(err, '');
  return JSON.parse(out) as { level: string; what: string; mend?: string }[];
}

/** Returns a path of the user's own mount namespace, for root. */
export function seenIn(daemon: Daemon): string {
  return `/proc/${daemon.pid}/root${daemon.path}`;
}
