/**
 * Starts the bare C loop of test/programs/measure/floor.c, the lower bound that the daemon is
 * compared with.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { within } from './daemon.js';

const READY_TIMEOUT_MS = 10_000;

/** A running loop on a mount of its own. */
export interface Floor {
  readonly path: string;
  stop(): Promise<void>;
}

/**
 * Starts the loop and waits up to 10 s until it serves.
 * @param program its path
 * @param args its arguments after the mount point
 * @param under a command that runs it, as in `['taskset', '-c', '0']`
 * @throws Error if it is not ready in time
 */
export async function startFloor(
  program: string,
  args: readonly (string | number)[],
  under: readonly string[] = [],
): Promise<Floor> {
  const path = mkdtempSync(join(tmpdir(), 'eventfs-floor-'));
  const [command, ...rest] = [...under, program, path, ...args.map(String), '--ready-fd', '3'];
  const child = spawn(command, rest, { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] });
  const ready = new Promise<void>((done) => child.stdio[3]!.once('data', () => done()));
  await within(READY_TIMEOUT_MS, ready, 'the floor was not ready');
  return {
    path,
    stop: async () => {
      const ended = new Promise<void>((done) => child.once('exit', () => done()));
      child.kill('SIGTERM');
      await within(READY_TIMEOUT_MS, ended, 'the floor did not end');
      rmdirSync(path);
    },
  };
}
