/** Helpers of the tests of `eventfs mount --guard` and `--fd-holder`. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Daemon,
  type DaemonSetting,
  PROJECT,
  run,
  startDaemon,
  until,
} from '../../support/mount/daemon.js';

/** Starts a guardian and its first daemon: `pid` is the guardian's. */
export async function startGuarded(
  args: readonly string[] = [],
  path?: string,
  setting: DaemonSetting = {},
): Promise<Daemon> {
  return startDaemon(
    ['--guard', '--transport', 'auto', '--source', 'none', ...args],
    path,
    setting,
  );
}

/** Returns a value of `log/.status`, which the daemon reads at this moment. */
export async function statusOf(path: string, key: string): Promise<string | undefined> {
  // Another process reads: a daemon that hangs must not stop the test
  const { out } = await run(['cat', `${path}/log/.status`]);
  return new RegExp(`^${key}=(.*)$`, 'm').exec(out)?.[1];
}

export async function daemonPid(path: string): Promise<number> {
  return Number(await statusOf(path, 'DAEMON'));
}

/** Kills the daemon, and returns the PID of the next one once it serves. */
export async function killDaemon(
  path: string,
  signal: NodeJS.Signals = 'SIGKILL',
): Promise<number> {
  const before = await daemonPid(path);
  process.kill(before, signal);
  return until(async () => {
    const now = await daemonPid(path);
    return now !== before && now > 0 ? now : 0;
  }, 'no other daemon serves');
}

/** Waits until the next daemon has started and waits. */
export async function untilStandby(path: string): Promise<void> {
  await until(async () => (await statusOf(path, 'STANDBY')) === '1', 'there is no standby', 15_000);
}

/** A program file that runs as `eventfs`, and that a test replaces by another version. */
export class InstalledVersion {
  readonly #directory = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'version-'));
  readonly script = join(this.#directory, 'eventfs.mjs');

  constructor() {
    this.install('');
  }

  /** @param begin JavaScript that runs first */
  install(begin: string): void {
    const main = JSON.stringify(join(PROJECT, 'dist/fs/cli/main.js'));
    writeFileSync(this.script, `${begin}\nawait (await import(${main})).main(process.argv);\n`);
  }

  get command(): readonly string[] {
    return [process.execPath, this.script];
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true });
  }
}

/** Returns whether a process has ended: a zombie has. */
export function hasEnded(pid: number): boolean {
  if (!existsSync(`/proc/${pid}`)) return true;
  return /^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
}
