/** `mount`: a daemon as a child process that ends with its caller. */
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { createInterface } from 'node:readline';
import type { Socket } from 'node:net';
import { onAbort } from './abort.js';
import { checkOptions } from './check-options.js';
import { EventfsError, refused } from './errors.js';
import { isSystemError } from '../shared/errors.js';
import { startProcess } from '../shared/start-process.js';
import { mountPath } from '../client/probe.js';

const PROGRAM = fileURLToPath(new URL('../../../bin/eventfs.cjs', import.meta.url));

/** The descriptors of the daemon for its readiness, and for the end of this process. */
const READY_FD = 3;
const STOP_FD = 4;

/** How long the last messages of a daemon that failed may take, in ms. */
const LAST_WORDS_MS = 1000;

/** The sources of events of a mount. */
export type SourceName = 'kernel' | 'udev' | 'none';

/** The options of {@link mount}: those of `eventfs mount`, and three more. */
export interface MountOptions {
  /** The sources of events (default `kernel`). */
  readonly source?: SourceName | readonly SourceName[] | undefined;
  /** The way to the kernel (default `devfuse`). */
  readonly driver?: 'devfuse' | 'fuse-native' | undefined;
  /** The way of requests to devfuse (default `auto`). */
  readonly transport?: 'auto' | 'read' | 'io-uring' | undefined;
  /** Directories to make at the start and to keep without an owner, as in `global:1733`. */
  readonly sticky?: string | readonly string[] | undefined;
  /** Netlink groups to send the kernel's datagrams to, as a mask. */
  readonly rebroadcast?: number | undefined;
  /** Sends libudev's own messages to netlink group 2. */
  readonly udev?: boolean | undefined;
  /** A SOCK_SEQPACKET socket for clients, as in `/run/eventfs.sock:0660`. */
  readonly socket?: string | undefined;
  /** The same, with each event as a descriptor. */
  readonly fdSocket?: string | undefined;
  /** A directory of FIFOs that get one byte an event. */
  readonly fifodir?: string | undefined;
  /** Network namespaces that get the kernel's events, as in `/proc/42/ns/net=SUBSYSTEM==usb`. */
  readonly netns?: string | readonly string[] | undefined;
  /** Lists `stream`, `head` and `tail` too. */
  readonly listLinks?: boolean | undefined;
  /** How long to look for the next request before sleeping, in microseconds. */
  readonly busyPoll?: number | undefined;
  /** The source that mount tables show. */
  readonly fsname?: string | undefined;
  /** The least grave messages to log (default `info`). */
  readonly logLevel?: 'error' | 'warn' | 'info' | 'debug' | undefined;
  /** The file with bounds and quotas (default `/etc/eventfs.toml` if it exists). */
  readonly config?: string | undefined;
  /** Receives each line of the daemon's log (default: this process's standard error). */
  readonly onLog?: ((line: string) => void) | undefined;
  /** Ends the mount, also while it starts. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Whether the daemon outlives this process (default `false`). If not, it unmounts when this
   * process ends, also by SIGKILL.
   */
  readonly outlives?: boolean | undefined;
}

/** The options of {@link MountOptions} that `eventfs mount` has under the same name, in dashes. */
export const COMMAND_OPTIONS = [
  'source',
  'driver',
  'transport',
  'sticky',
  'rebroadcast',
  'udev',
  'socket',
  'fdSocket',
  'fifodir',
  'netns',
  'listLinks',
  'busyPoll',
  'fsname',
  'logLevel',
  'config',
] as const satisfies readonly (keyof MountOptions)[];

/** The options of {@link MountOptions} that only the library has. */
const OWN_OPTIONS: readonly string[] = ['onLog', 'signal', 'outlives'];

/** A mount that {@link mount} has made. It keeps this process alive, unless it outlives it. */
export interface Mount {
  /** The directory that it is mounted on. */
  readonly path: string;
  /** The PID of the daemon. */
  readonly pid: number;
  /** Resolves once the daemon has ended, to its exit code; to null if a signal has killed it. */
  readonly ended: Promise<number | null>;
  /** Ends every reader, unmounts, and waits for the daemon's end. */
  unmount(): Promise<void>;
  /** The same, at the end of a block with `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Mounts eventfs. A daemon, which is a child process, serves the mount: this process can use it
 * without waiting for itself.
 *
 * @param directory the directory to mount on, which exists
 * @param options as those of `eventfs mount`
 * @returns the mount, once programs can use it
 * @throws EventfsError `BAD_OPTION`, or `MOUNT_FAILED` with the daemon's reason; the signal's
 *   reason after its abort
 *
 * @example
 * ```ts
 * const events = await mount('/run/events', { source: ['kernel'] });
 * await events.unmount();
 * ```
 */
export async function mount(directory: string, options: MountOptions = {}): Promise<Mount> {
  if (typeof directory !== 'string' || directory === '')
    throw new EventfsError('BAD_OPTION', 'directory: it is not a path (name a directory)');
  const args = mountArguments(options);
  const { onLog, signal, outlives = false } = options;
  signal?.throwIfAborted();
  const path = mountPath(directory);
  const stopFd = outlives ? [] : [`--stop-fd=${STOP_FD}`];
  const daemon = await start([...args, ...stopFd, '--', path], outlives);
  const lines: string[] = [];
  createInterface({ input: daemon.stderr! }).on('line', (line) => {
    if (isStarting) lines.push(line);
    else report(line, onLog);
  });
  let isStarting = true;
  const stop = (): void => void daemon.kill();
  const ended = endOf(daemon).finally(onAbort(signal, stop));
  if (signal?.aborted === true) stop(); // while the daemon was started
  try {
    await untilReady(daemon, ended, lines);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
  isStarting = false;
  for (const line of lines) report(line, onLog);
  if (outlives) unref(daemon);
  const unmount = async (): Promise<void> => {
    stop();
    await ended;
  };
  return { path, pid: daemon.pid!, ended, unmount, [Symbol.asyncDispose]: unmount };
}

/**
 * Converts options into arguments of `eventfs mount`.
 *
 * @throws EventfsError `BAD_OPTION`
 */
export function mountArguments(options: MountOptions): string[] {
  checkOptions('mount', options, [...COMMAND_OPTIONS, ...OWN_OPTIONS]);
  const values = new Map<string, unknown>(Object.entries(options));
  return COMMAND_OPTIONS.flatMap((name) => {
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    return [values.get(name)].flat().flatMap((value) => {
      if (value === undefined || value === false) return [];
      if (value === true) return [flag];
      if (typeof value !== 'string' && typeof value !== 'number')
        throw new EventfsError('BAD_OPTION', `${name}: the value is neither text nor a number`);
      return [`${flag}=${value}`];
    });
  });
}

/** Starts the daemon. Node's debugger gets an address that no machine has, as in bin/eventfs. */
async function start(args: readonly string[], outlives: boolean): Promise<ChildProcess> {
  const { NOTIFY_SOCKET: _, ...env } = process.env; // a supervisor expects messages of this process
  const all = [
    '--no-memory-reducer',
    '--max-semi-space-size=8',
    '--v8-pool-size=1',
    '--inspect-port=0.0.0.1:0',
    PROGRAM,
    'mount',
    `--ready-fd=${READY_FD}`,
    ...args,
  ];
  const options: SpawnOptions = {
    env,
    detached: outlives,
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
  };
  return new Promise((done, failed) => {
    const child = startProcess(process.execPath, all, options, (error) =>
      failed(isSystemError(error) ? refused(error, 'the daemon', START_HINTS) : error),
    );
    if (child !== null) done(child);
  });
}

const START_HINTS = {
  E2BIG: 'shorten the options, or the environment',
  EMFILE: 'the limit of open files is reached: raise it with ulimit -n',
  EAGAIN: 'the limit of processes is reached: raise it with ulimit -u',
};

/** Lets this process end although the daemon runs. */
function unref(daemon: ChildProcess): void {
  daemon.unref();
  for (const pipe of daemon.stdio) (pipe as Socket | null)?.unref();
}

function endOf(daemon: ChildProcess): Promise<number | null> {
  return new Promise((done) => {
    daemon.once('error', () => done(null));
    daemon.once('exit', (code) => done(code));
  });
}

async function untilReady(
  daemon: ChildProcess,
  ended: Promise<number | null>,
  lines: readonly string[],
): Promise<void> {
  const ready = daemon.stdio[READY_FD] as Socket;
  const failed = ended.then(async (code) => {
    await lastWords(daemon);
    const reason = lines.at(-1)?.replace(/^eventfs: mount: /, '');
    throw new EventfsError(
      'MOUNT_FAILED',
      reason ?? `the daemon ended with ${code ?? 'a signal'} (try eventfs mount in a shell)`,
    );
  });
  failed.catch(() => undefined); // the daemon ends one day
  await Promise.race([failed, new Promise((done) => ready.once('data', done))]);
  ready.destroy();
}

/** Waits until standard error is read to its end. */
async function lastWords(daemon: ChildProcess): Promise<void> {
  const { stderr } = daemon;
  if (stderr === null || stderr.readableEnded) return;
  let timer: NodeJS.Timeout | undefined;
  await new Promise<void>((done) => {
    timer = setTimeout(done, LAST_WORDS_MS);
    daemon.once('close', () => done());
  });
  clearTimeout(timer);
}

function report(line: string, onLog: MountOptions['onLog']): void {
  if (onLog !== undefined) onLog(line);
  else process.stderr.write(`${line}\n`);
}
