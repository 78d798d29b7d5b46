/**
 * Attacking processes of an unprivileged user, limited to one CPU by a cgroup where the machine
 * lets the test create one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { until, within } from './daemon.js';

/**
 * The quota's period in microseconds: one CPU, in periods so short that a process that has used up
 * its share waits only briefly.
 */
const PERIOD_US = 10_000;
const END_TIMEOUT_MS = 20_000;

/**
 * Where a cgroup with a limit of CPU time can be created: cgroup v2 (`cpu.max`), or v1
 * (`cpu.cfs_quota_us`).
 */
const V2_ROOT = '/sys/fs/cgroup';
const V1_ROOT = '/sys/fs/cgroup/cpu';

/** A cgroup limited to one CPU. It does nothing where the machine has no CPU controller to use. */
export class OneCpu {
  private constructor(
    /** The cgroup's directory; null if there is none. */
    readonly path: string | null,
  ) {}

  /** Creates the cgroup, in v2 or else in v1. */
  static make(): OneCpu {
    const name = `eventfs-fairness-${process.pid}`;
    return new OneCpu(
      tryMake(() => makeV2(`${V2_ROOT}/${name}`)) ?? tryMake(() => makeV1(`${V1_ROOT}/${name}`)),
    );
  }

  /** A command that runs its further arguments in the cgroup. */
  get under(): readonly string[] {
    return this.path === null
      ? []
      : ['sh', '-c', 'echo $$ > "$0"/cgroup.procs && exec "$@"', this.path];
  }

  /** Kills all processes of the cgroup, and waits until it is empty. */
  async empty(): Promise<void> {
    const { path } = this;
    if (path === null) return;
    await until(
      () => {
        const pids = readFileSync(`${path}/cgroup.procs`, 'latin1')
          .split('\n')
          .filter((line) => line !== '')
          .map(Number);
        for (const pid of pids) killIfThere(pid);
        return pids.length === 0;
      },
      'the cgroup did not get empty',
      END_TIMEOUT_MS,
    );
  }

  /** Empties and removes the cgroup. */
  async remove(): Promise<void> {
    if (this.path === null) return;
    await this.empty();
    rmdirSync(this.path);
  }
}

function tryMake(make: () => string): string | null {
  try {
    return make();
  } catch {
    return null; // no such controller, or this process may not create a cgroup
  }
}

function makeV2(path: string): string {
  if (!readFileSync(`${V2_ROOT}/cgroup.controllers`, 'latin1').split(/\s/).includes('cpu'))
    throw new Error('no cpu controller');
  writeFileSync(`${V2_ROOT}/cgroup.subtree_control`, '+cpu');
  return limit(path, 'cpu.max', `${PERIOD_US} ${PERIOD_US}`);
}

function makeV1(path: string): string {
  if (!existsSync(`${V1_ROOT}/cpu.cfs_quota_us`) && !existsSync(`${V1_ROOT}/cpu.shares`))
    throw new Error('no cpu controller');
  limit(path, 'cpu.cfs_period_us', String(PERIOD_US));
  writeFileSync(`${path}/cpu.cfs_quota_us`, String(PERIOD_US));
  return path;
}

/** Creates the cgroup and writes one of its files. Removes the cgroup if the write fails. */
function limit(path: string, file: string, value: string): string {
  mkdirSync(path);
  try {
    writeFileSync(`${path}/${file}`, value);
  } catch (error) {
    rmdirSync(path);
    throw error;
  }
  return path;
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // The process has ended meanwhile.
  }
}

/** The counts of an attack's system calls that succeeded and failed. */
interface Tally {
  readonly done: number;
  /** The number of failures, or each errno with its count, as in `EDQUOT 12 ENOENT 1`. */
  readonly refused: string;
}

/** An attacking program (test/programs/hostile/hostile.c) with all its children. */
export class Attacker {
  readonly #process: ChildProcess;
  #errors = '';
  #hasBegun = false;
  #tally: Tally = { done: 0, refused: '0' };

  /**
   * @param command the program and its arguments
   * @param cgroup the cgroup that it runs in
   */
  constructor(
    command: readonly string[],
    private readonly cgroup: OneCpu,
  ) {
    const [name, ...args] = [...cgroup.under, ...command];
    this.#process = spawn(name, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    this.#process.stderr!.on('data', (chunk: Buffer) => (this.#errors += chunk.toString()));
    createInterface({ input: this.#process.stdout! }).on('line', (line) => this.#read(line));
  }

  #read(line: string): void {
    if (line === 'attacking') this.#hasBegun = true;
    const found = /^done (\d+) refused (.*)$/.exec(line);
    if (found !== null) this.#tally = { done: Number(found[1]), refused: found[2] };
  }

  /** True once the attack has been prepared and begins. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** The attack's last counts. */
  get tally(): Tally {
    return this.#tally;
  }

  /** The exit code or signal and stderr of an attack that has ended, or ''. */
  get failure(): string {
    const { exitCode, signalCode } = this.#process;
    return exitCode === null && signalCode === null
      ? ''
      : `it ended with ${exitCode ?? signalCode}: ${this.#errors}`;
  }

  /** Kills the process group once, then the cgroup's processes until none is left. */
  async kill(): Promise<void> {
    const { exitCode, signalCode, pid } = this.#process;
    const isAlive = exitCode === null && signalCode === null;
    const gone = isAlive
      ? new Promise<void>((done) => this.#process.once('exit', () => done()))
      : Promise.resolve();
    try {
      process.kill(-pid!, 'SIGKILL');
    } catch {
      // All processes of the group have ended.
    }
    await within(END_TIMEOUT_MS, gone, 'the attacker did not end');
    await this.cgroup.empty();
  }
}
