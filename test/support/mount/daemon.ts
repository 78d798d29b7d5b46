/**
 * Runs a real daemon on a real mount, as a child process. The test process never serves a mount
 * that it uses.
 *
 * A test may block on the mount. Then the runner aborts the connection and kills the test
 * (test/run.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, chmodSync, mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseMountinfo } from '../../../fs/shared/kernel/mountinfo.js';
import { childrenOf, killed } from '../processes.js';
import { refuseUnreadable } from './other-user.js';
import { EVENTFS_NODE } from '../project.js';

export { EMIT_HELPER, EVENTFS, EVENTFS_NODE, EVENTFS_SCRIPT, PROJECT } from '../project.js';

const READY_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 10_000;

/** A running daemon, its mount and its log. */
export interface Daemon {
  /** The mount point. */
  readonly path: string;
  readonly pid: number;
  readonly process: ChildProcess;
  /** Returns the daemon's stderr so far. */
  log(): string;
  /**
   * Sends SIGTERM and waits up to 10 s.
   * @returns the exit code
   */
  stop(): Promise<number | null>;
  /** Sends SIGKILL and waits up to 10 s. A stale mount stays. */
  kill(): Promise<void>;
  /** Resolves to the exit code when the daemon has ended. */
  readonly ended: Promise<number | null>;
}

/**
 * Creates an empty directory to mount on. The runner unmounts and removes what is left below
 * EVENTFS_TEST_DIR.
 * @returns its path
 */
export function mountPoint(): string {
  const below = process.env.EVENTFS_TEST_DIR;
  if (below !== undefined) chmodSync(below, 0o711); // clients that are not root must get through
  return mkdtempSync(join(below ?? tmpdir(), 'eventfs-'));
}

/** The way to start a daemon. */
export interface DaemonSetting {
  /** A command that runs the daemon, as in `['prlimit', '--nofile=64']`. */
  readonly under?: readonly string[];
  /** Variables to add to the daemon's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** The command that runs `eventfs`: the clone's, or a copy if `under` changes the user. */
  readonly eventfs?: readonly string[];
}

/** The daemons that run, and their mount points. */
const running = new Map<ChildProcess, string>();

/** Kills the daemons that tests have left, and unmounts what they served. */
export async function killDaemons(): Promise<void> {
  const left = [...running];
  const ends = left.map(([child]) => new Promise((done) => child.once('close', done)));
  // A daemon goes on if its guardian is killed.
  const guarded = left.flatMap(([{ pid }]) => childrenOf(pid!));
  for (const [child] of left) child.kill('SIGKILL');
  for (const pid of guarded) killed(pid);
  await within(STOP_TIMEOUT_MS, Promise.all(ends), 'daemons did not end by SIGKILL');
  for (const [, path] of left) if (isMounted(path)) await run(['umount', '-l', path]);
}

/**
 * Starts `eventfs mount` and waits up to 20 s for its readiness descriptor.
 * @param args options of `eventfs mount`
 * @param path the mount point
 * @throws Error if the daemon ends or is not ready in time
 */
export async function startDaemon(
  args: readonly string[] = ['--source', 'none'],
  path = mountPoint(),
  { under = [], env = {}, eventfs = EVENTFS_NODE }: DaemonSetting = {},
): Promise<Daemon> {
  // Before `args`, which may override it. A mount that another process holds has no ring.
  const isHeld = args.some((option) => /^--(guard|fd-holder)$/.test(option));
  const { EVENTFS_TRANSPORT } = process.env;
  const transport =
    EVENTFS_TRANSPORT === undefined || isHeld ? [] : ['--transport', EVENTFS_TRANSPORT];
  const whole = [...under, ...eventfs, 'mount', path, '--ready-fd', '3', ...transport, ...args];
  refuseUnreadable(whole);
  const [command, ...rest] = whole;
  // A broken invariant ends the daemon, and so the test.
  const asserts = process.env.EVENTFS_ASSERT === undefined ? {} : { EVENTFS_ASSERT: 'abort' };
  const child = spawn(command, rest, {
    stdio: ['ignore', 'inherit', 'pipe', 'pipe'],
    env: { ...process.env, ...asserts, ...env },
  });
  running.set(child, path);
  let log = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    log += chunk.toString();
    if (process.env.EVENTFS_TEST_LOG !== undefined)
      appendFileSync(process.env.EVENTFS_TEST_LOG, chunk);
  });
  const ended = new Promise<number | null>((done) => child.on('close', (code) => done(code)));
  void ended.then(() => running.delete(child));
  await new Promise<void>((done, failed) => {
    const timer = setTimeout(
      () => failed(new Error(`the daemon was not ready in time: ${log}`)),
      READY_TIMEOUT_MS,
    );
    child.stdio[3]!.on('data', () => {
      clearTimeout(timer);
      done();
    });
    void ended.then((code) => {
      clearTimeout(timer);
      failed(new Error(`the daemon ended with ${code}: ${log}`));
    });
  });
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal);
    return within(STOP_TIMEOUT_MS, ended, 'the daemon did not end');
  };
  const daemon: Daemon = {
    path,
    pid: child.pid!,
    process: child,
    log: () => log,
    stop: () => end('SIGTERM'),
    kill: async () => {
      await end('SIGKILL');
    },
    ended,
  };
  return daemon;
}

/**
 * Waits for a promise.
 * @param ms the time limit, in milliseconds
 * @param what begins the error's message
 * @throws Error after `ms`
 */
export async function within<T>(ms: number, promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>(
    (_, failed) => (timer = setTimeout(() => failed(new Error(`${what} within ${ms} ms`)), ms)),
  );
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/**
 * Calls `check` every 5 ms until it returns a truthy value.
 * @param what begins the error's message; a function returns it at the end of the time
 * @param ms the time limit, in milliseconds
 * @throws Error after `ms`
 */
export async function until<T>(
  check: () => T | Promise<T>,
  what: string | (() => string),
  ms = 20_000,
): Promise<T> {
  for (const end = Date.now() + ms; ;) {
    const got = await check();
    if (got) return got;
    if (Date.now() > end)
      throw new Error(`${typeof what === 'string' ? what : what()} within ${ms} ms`);
    await sleep(5);
  }
}

/**
 * Waits until a program has said something: its standard error comes through a pipe, which may be
 * behind what the program has done.
 *
 * @param said a text, or a pattern
 * @throws Error after 20 s, with all that the program has said
 */
export async function hasSaid(program: { log(): string }, said: string | RegExp): Promise<void> {
  const isSaid = (): boolean =>
    typeof said === 'string' ? program.log().includes(said) : said.test(program.log());
  await until(isSaid, () => `not ${String(said)}, but ${program.log()}`);
}

/**
 * A shell that lives until it is killed, and so owns `<path>/<its pid>`. It runs commands one after
 * the other.
 */
export class Shell {
  readonly process: ChildProcess;
  #out = '';
  #serial = 0;
  /** The exit code or signal, once it has ended. */
  #end: number | NodeJS.Signals | null = null;

  /** @param command the command to run instead of bash; it reads commands from standard input */
  constructor(command: readonly string[] = ['bash']) {
    refuseUnreadable(command);
    this.process = spawn(command[0], [...command.slice(1)], { stdio: ['pipe', 'pipe', 'pipe'] });
    for (const stream of [this.process.stdout!, this.process.stderr!]) {
      stream.on('data', (chunk: Buffer) => (this.#out += chunk.toString('latin1')));
    }
    this.process.stdin!.on('error', () => undefined); // EPIPE: see 'close' below
    this.process.on('close', (code, signal) => (this.#end = code ?? signal));
  }

  get pid(): number {
    return this.process.pid!;
  }

  /**
   * Runs commands in the shell itself.
   * @param timeoutMs the time limit, in milliseconds; 20 s by default
   * @returns their output, stderr included, and the last command's exit code
   * @throws Error if they do not end in time, or end the shell
   */
  async run(commands: string, timeoutMs?: number): Promise<{ out: string; code: number }> {
    const mark = `done-${process.pid}-${++this.#serial}`;
    this.#out = '';
    this.process.stdin!.write(`${commands}\necho "${mark}:$?"\n`);
    const pattern = new RegExp(`${mark}:(\\d+)\\n`);
    const found = await until(
      () => {
        const ended = pattern.exec(this.#out);
        if (ended === null && this.#end !== null)
          throw new Error(`the shell ended with ${this.#end}: ${this.#out}`);
        return ended;
      },
      `'${commands}' did not end`,
      timeoutMs,
    );
    return { out: this.#out.slice(0, found!.index), code: Number(found![1]) };
  }

  /** Kills the shell and waits until it has been waited for: then every process sees it as dead. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const gone = new Promise<void>((done) => this.process.once('exit', () => done()));
    this.process.kill(signal);
    await within(20_000, gone, 'the shell did not end');
  }
}

/**
 * Runs a command to its end, without a shell.
 * @param options `timeoutMs` is 20 s by default, then `signal` (SIGKILL by default) is sent
 * @returns its stdout, stderr and exit code; the code is null if a signal ended it
 */
export async function run(
  command: readonly string[],
  options: {
    input?: string | Buffer;
    timeoutMs?: number;
    env?: NodeJS.ProcessEnv;
    signal?: NodeJS.Signals;
  } = {},
): Promise<{ out: string; err: string; code: number | null }> {
  refuseUnreadable(command);
  const child = spawn(command[0], command.slice(1), {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: options.env ?? process.env,
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString('latin1')));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString('latin1')));
  child.stdin.on('error', () => undefined); // EPIPE: the command need not read its input
  child.stdin.end(options.input ?? '');
  const timer = setTimeout(
    () => child.kill(options.signal ?? 'SIGKILL'),
    options.timeoutMs ?? 20_000,
  );
  const code = await new Promise<number | null>((done, failed) => {
    child.on('close', done);
    child.on('error', failed);
  });
  clearTimeout(timer);
  return { out, err, code };
}

/** Makes the kernel send one uevent, for a device that every machine has. */
export async function makeUevent(action = 'add'): Promise<void> {
  appendFileSync('/sys/class/mem/null/uevent', action);
  await Promise.resolve();
}

let marks = 0;

/**
 * Does the same, with a property by which a test knows the event: other programs of the machine
 * make such events too.
 * @returns the line of the property
 */
export function makeMarkedUevent(action = 'add'): string {
  const mark = `${process.pid}M${++marks}`;
  const synthetic = '00000000-0000-4000-8000-000000000000';
  appendFileSync('/sys/class/mem/null/uevent', `${action} ${synthetic} MARK=${mark}`);
  return `SYNTH_ARG_MARK=${mark}`;
}

/** Returns true if anything is mounted at `path`. */
export function isMounted(path: string): boolean {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'latin1')).some(
    ({ mountPoint: at }) => at === path,
  );
}

/** Removes the directory of a mount that has ended. */
export function removeMountPoint(path: string): void {
  rmdirSync(path);
}
