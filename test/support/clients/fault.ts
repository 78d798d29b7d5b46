/**
 * Faults of a running process: failing system calls (test/programs/hostile/fault.c), frozen
 * processes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { compiled } from './compiled.js';
import { until, within } from '../mount/daemon.js';

const ARMED_TIMEOUT_MS = 10_000;

/** The numbers of system calls: x86-64, arm64. */
const CALLS = {
  read: [0, 63],
  write: [1, 64],
  epoll_ctl: [233, 21],
  recvmmsg: [299, 243],
  pidfd_open: [434, 434],
  memfd_create: [319, 279],
  fallocate: [285, 47],
} as const;
type CallName = keyof typeof CALLS;

/** Returns the number of a system call on this machine. */
function numberOf(call: CallName): number {
  return CALLS[call][process.arch === 'arm64' ? 1 : 0];
}

/** A tracer of a process. While it runs, it has calls of the process fail, or counts them. */
export class Fault {
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;
  #said = '';

  private constructor(args: readonly (string | number)[]) {
    this.#process = spawn(compiled('fault'), args.map(String), {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#process.stdout!.on('data', (chunk: Buffer) => (this.#said += chunk.toString()));
    this.#ended = new Promise((done) => this.#process.once('close', () => done()));
  }

  static async #armed(args: readonly (string | number)[]): Promise<Fault> {
    const fault = new Fault(args);
    await within(
      ARMED_TIMEOUT_MS,
      Promise.race([
        until(() => fault.#said.startsWith('armed\n'), 'not armed', ARMED_TIMEOUT_MS),
        fault.#ended,
      ]),
      `fault ${args.join(' ')} was not armed`,
    );
    return fault;
  }

  /** Counts the calls of a process. */
  static count(pid: number): Promise<Fault> {
    return Fault.#armed([pid, 'count']);
  }

  /**
   * Counts the calls of a process on descriptors of a path for whose memory a page is not mapped:
   * read(2), write(2) and writev(2).
   */
  static watchMemory(pid: number, path: string): Promise<Fault> {
    return Fault.#armed([pid, 'memory', path]);
  }

  /** Kills a process at its `n`th system call, from 1. */
  static killAt(pid: number, n: number): Promise<Fault> {
    return Fault.#armed([pid, 'kill', n]);
  }

  /**
   * Makes the next `count` calls fail.
   * @param path only calls whose first argument is a descriptor of this path
   * @param first the number of the first of them, from 1
   */
  static fail(
    pid: number,
    call: CallName,
    error: keyof typeof constants.errno,
    count = 1,
    path?: string,
    first = 1,
  ): Promise<Fault> {
    const more = path === undefined ? [] : [path];
    return Fault.#armed([
      pid,
      'fail',
      numberOf(call),
      constants.errno[error],
      first,
      count,
      ...more,
    ]);
  }

  /** The line that the program prints at its end; '' before. */
  get said(): string {
    return this.#said.replace(/^(armed|spent)\n/gm, '').trim();
  }

  /** Waits until all calls have failed that were to fail. */
  async spent(): Promise<void> {
    await until(() => this.#said.includes('spent\n'), 'the calls were not made', ARMED_TIMEOUT_MS);
  }

  /** Ends the trace. @returns the numbers of all calls, and of those of the wanted kind */
  async end(): Promise<{ calls: number; matching: number }> {
    this.#process.kill('SIGTERM');
    await within(ARMED_TIMEOUT_MS, this.#ended, 'the tracer did not end');
    const [, calls, matching] = /calls=(\d+) matching=(\d+)/.exec(this.#said) ?? [];
    return { calls: Number(calls), matching: Number(matching) };
  }
}

/** A cgroup whose processes can be frozen. */
export class FreezableGroup {
  readonly #path: string;
  readonly #before: string;

  private constructor(root: string, name: string) {
    this.#before = root;
    this.#path = join(root, `${name}-${process.pid}`);
    mkdirSync(this.#path);
  }

  /** Makes a group, or returns null where no cgroup2 can be written. */
  static make(name: string): FreezableGroup | null {
    const mounts = readFileSync('/proc/self/mountinfo', 'latin1').split('\n');
    const mount = mounts.find((line) => line.includes(' - cgroup2 '));
    if (mount === undefined) return null;
    try {
      return new FreezableGroup(mount.split(' ')[4], name);
    } catch {
      return null;
    }
  }

  /** Moves a process with all its threads into the group. */
  add(pid: number): void {
    writeFileSync(join(this.#path, 'cgroup.procs'), String(pid));
  }

  /** Freezes the group, and waits until the kernel says so. Blocked FUSE requests do not freeze. */
  async freeze(): Promise<void> {
    writeFileSync(join(this.#path, 'cgroup.freeze'), '1');
    await until(
      () => readFileSync(join(this.#path, 'cgroup.events'), 'latin1').includes('frozen 1'),
      'the group does not freeze',
      500,
    ).catch(() => undefined);
  }

  thaw(): void {
    writeFileSync(join(this.#path, 'cgroup.freeze'), '0');
  }

  /** Moves the processes back, and removes the group. */
  async remove(): Promise<void> {
    this.thaw();
    const processes = (): string[] =>
      readFileSync(join(this.#path, 'cgroup.procs'), 'latin1').split('\n').filter(Boolean);
    for (const pid of processes()) {
      try {
        writeFileSync(join(this.#before, 'cgroup.procs'), pid);
      } catch {
        // it has ended
      }
    }
    await until(() => processes().length === 0, 'the group has processes', 5000);
    rmdirSync(this.#path);
  }
}
