/** Runs the C programs of benchmarks/build, and the floors and daemons that they measure. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, rmdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { DriverName } from '../fs/drivers/driver.js';
import {
  type Daemon,
  PROJECT,
  Shell,
  isMounted,
  mountPoint,
  startDaemon,
  until,
  within,
} from '../test/support/mount/daemon.js';
import { type Floor, startFloor } from '../test/support/mount/floor.js';

const PROGRAM_TIMEOUT_MS = 300_000;
const READY_TIMEOUT_MS = 10_000;

/** Runs a command on the first CPU only, where no wake-up crosses CPUs. */
export const ONE_CPU = ['taskset', '-c', '0'] as const;
/** Runs a command on the second CPU only: the peer of a command on the first. */
export const OTHER_CPU = ['taskset', '-c', '1'] as const;

/** Whether this process may run on more than one CPU. */
export const HAS_TWO_CPUS = availableParallelism() > 1;

function program(name: string): string {
  return join(PROJECT, 'benchmarks/build', name);
}

/**
 * Runs a program to its end.
 * @param under a command that runs the program
 * @returns the `KEY=VALUE` pairs that it prints
 */
export async function measure(
  name: string,
  args: readonly (string | number)[],
  under: readonly string[] = [],
): Promise<Map<string, number>> {
  const [command, ...rest] = [...under, program(name), ...args.map(String)];
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  const ended = new Promise<number | null>((done) => child.on('close', done));
  const code = await within(PROGRAM_TIMEOUT_MS, ended, `${name} did not end`);
  if (code !== 0) throw new Error(`${name} ${args.join(' ')} ended with ${code}`);
  return new Map(
    out
      .trim()
      .split(' ')
      .map((pair) => pair.split('='))
      .map(([key, value]) => [key, Number(value)]),
  );
}

/**
 * Runs a program to its end.
 * @returns the value of `key`, or NaN if the program does not print it
 */
export async function measureOne(
  name: string,
  args: readonly (string | number)[],
  key: string,
  under: readonly string[] = [],
): Promise<number> {
  return (await measure(name, args, under)).get(key) ?? NaN;
}

/**
 * Runs `work` with a daemon, and stops the daemon even if `work` fails.
 * @param under a command that runs the daemon
 * @returns the result of `work`
 */
export async function withDaemon<T>(
  source: 'kernel' | 'none',
  under: readonly string[],
  work: (daemon: Daemon) => Promise<T>,
  driver: DriverName = 'devfuse',
): Promise<T> {
  const daemon = await startDaemon(['--source', source, '--driver', driver], undefined, { under });
  try {
    return await work(daemon);
  } finally {
    await daemon.stop();
    rmdirSync(daemon.path);
  }
}

/**
 * Runs `work` with a floor, and stops the floor even if `work` fails.
 * @param under a command that runs the floor
 * @returns the result of `work`
 */
export async function withFloor<T>(
  args: readonly (string | number)[],
  under: readonly string[],
  work: (floor: Floor) => Promise<T>,
): Promise<T> {
  const floor = await startFloor(program('floor'), args, under);
  try {
    return await work(floor);
  } finally {
    await floor.stop();
  }
}

/**
 * Moves a daemon to the second CPU once it runs. If it started there, it would know of one CPU
 * only, and would not look for requests before it sleeps (native/addon/fuse/busy_poll.h), though
 * its clients run on the other CPU.
 */
export function moveToOtherCpu(daemon: Daemon): void {
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', '1', String(daemon.pid)], {
    stdio: 'ignore',
  });
}

/**
 * libfuse's hello_ll, and a version with time-outs of 0 and direct I/O, as the daemon's files have
 * (benchmarks/programs/Makefile).
 */
type Example = 'hello_ll' | 'hello_ll-uncached';

/** Returns true if the example's source was there and has been compiled. */
export function hasExample(): boolean {
  const names: Example[] = ['hello_ll', 'hello_ll-uncached'];
  return names.every((name) => existsSync(program(name)));
}

/**
 * Runs `work` with an example, single-threaded and with the kernel's permission checks, as the
 * daemon is.
 * @param work takes the path of the example's file
 */
export async function withExample<T>(
  name: Example,
  under: readonly string[],
  work: (path: string) => Promise<T>,
): Promise<T> {
  const path = mountPoint();
  // hello_ll has no option to end with its parent, so setpriv arranges it.
  const [command, ...rest] = [
    ...under,
    'setpriv',
    '--pdeathsig',
    'TERM',
    program(name),
    '-f',
    '-s',
    '-o',
    'default_permissions,allow_other',
    path,
  ];
  const child = spawn(command, rest, { stdio: ['ignore', 'inherit', 'inherit'] });
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  try {
    await until(() => isMounted(path), `${name} was not mounted`, READY_TIMEOUT_MS);
    return await work(`${path}/hello`);
  } finally {
    child.kill('SIGTERM');
    await within(READY_TIMEOUT_MS, ended, `${name} did not end`);
    rmdirSync(path);
  }
}

/**
 * Runs `work` with a live process directory that holds one event.
 * @param bytes the event's size
 * @param work takes the event's path
 */
export async function withEvent<T>(
  daemon: Daemon,
  bytes: number,
  work: (path: string) => Promise<T>,
): Promise<T> {
  const owner = new Shell();
  const directory = `${daemon.path}/${owner.pid}`;
  await owner.run(
    `mkdir ${directory} && head -c ${bytes} /dev/zero | tr '\\0' x > ${directory}/1041`,
  );
  try {
    return await work(`${directory}/1041`);
  } finally {
    await owner.kill();
    await until(
      () => owner.process.exitCode !== null || owner.process.signalCode !== null,
      'the owner did not end',
    );
  }
}

/** Returns the median of several measurements. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

/** Divides each measurement by the other one of the same round. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.map((each, round) => each / theirs[round]);
}
