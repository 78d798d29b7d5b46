/**
 * `eventfs SOURCE DIR -o OPTIONS`: the call by which mount(8), /etc/fstab and systemd's mount units
 * run a FUSE filesystem. It returns once the filesystem is mounted. The daemon continues in a
 * session of its own. Node can't fork, so the daemon is a new process. It reports through its
 * readiness descriptor that it serves.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { mountPath } from '../../../client/probe.js';
import { UsageError, UserError, isSystemError } from '../../../shared/errors.js';
import { Configuration } from './configuration.js';
import { ExitCode } from '../../terminal/explain.js';
import { addMountOptions } from './mount-options.js';
import { requireMount } from '../../../client/mounted.js';
import { servingProcess } from '../../../client/serving.js';

/** The parsed arguments of such a call. */
interface HelperCall {
  readonly source: string;
  readonly directory: string;
  /** The options of `-o`, split, as in `source=none`. */
  readonly options: readonly string[];
  /** `-f`: stay in the foreground. */
  readonly isForeground: boolean;
  /** `-s`: ignore unknown options. */
  readonly isSloppy: boolean;
}

/**
 * Options of `-o` that need no action: they hold anyway, mount(8) or systemd handles them, or
 * mountinfo shows them and a remount passes them again.
 */
const IGNORED =
  /^(rw|defaults|(no)?(suid|dev|exec|atime|diratime|relatime|strictatime|lazytime|iversion|mand|user|users|owner|group|auto|fail)|a?sync|dirsync|silent|loud|remount|_netdev|allow_other|default_permissions|blkdev|(user_id|group_id|rootmode|max_read|fd|subtype|comment|uhelper|helper)=.*|[xX]-.*)$/;

/** Options that concern one start: `-o` does not accept them. */
const NOT_HERE = ['ready-fd', 'stop-fd', 'hint', 'syslog', 'fsname', 'check'];
/** Options whose values are paths: the daemon's working directory is `/`. */
const PATHS = ['config', 'socket', 'fd-socket', 'fifodir'];

/** How long to wait for messages that the daemon wrote before it was ready. */
const LAST_WORDS_MS = 20;

/** Signals that end a daemon that has not started yet. */
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Parses the arguments of mount(8).
 *
 * @param args the arguments after the program's name
 * @throws UsageError for an unknown option, a missing value, or not exactly two operands
 */
export function parseHelperCall(args: readonly string[]): HelperCall {
  const operands: string[] = [];
  const options: string[] = [];
  let isForeground = false;
  let isSloppy = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (!arg.startsWith('-')) operands.push(arg);
    else if (arg.startsWith('-o')) options.push(...splitOptions(valueOf(args, i)));
    else if (arg.startsWith('-t')) valueOf(args, i);
    else if (!/^-[fnsv]+$/.test(arg))
      throw new UsageError(`unknown option '${arg}' (usage: eventfs SOURCE DIR [-f] [-o OPTIONS])`);
    if (/^-[fnsv]+$/.test(arg)) {
      isForeground ||= arg.includes('f');
      isSloppy ||= arg.includes('s');
    } else if (arg === '-o' || arg === '-t') i++;
  }
  if (operands.length !== 2)
    throw new UsageError(
      `${operands.length} arguments instead of 2 (usage: eventfs SOURCE DIR [-f] [-o OPTIONS])`,
    );
  return { source: operands[0], directory: operands[1], options, isForeground, isSloppy };
}

/** Returns the value of `-oVALUE` or `-o VALUE`. */
function valueOf(args: readonly string[], index: number): string {
  const arg = args[index];
  if (arg.length > 2) return arg.slice(2);
  if (index + 1 === args.length) throw new UsageError(`option '${arg}' argument missing`);
  return args[index + 1];
}

/** Splits `a,b=c\,d` into `a` and `b=c,d`. */
function splitOptions(text: string): string[] {
  return [...text.matchAll(/(?:[^,\\]|\\[^]|\\$)+/g)].map(([option]) =>
    option.replaceAll(/\\([,\\])/g, '$1'),
  );
}

/**
 * Converts the options of `-o` into arguments of `eventfs mount`.
 *
 * @throws UsageError for an option that is neither one of `eventfs mount` nor to be ignored
 */
function toArguments({ options, isSloppy }: HelperCall): string[] {
  const known = addMountOptions(new Command('mount')).options;
  return options.flatMap((text) => {
    const [name] = text.split('=', 1);
    const option = known.find(
      ({ long }) =>
        long!.slice(2) === name.replaceAll('_', '-') && !NOT_HERE.includes(long!.slice(2)),
    );
    if (option === undefined) {
      if (IGNORED.test(text) || isSloppy) return [];
      if (name === 'ro')
        throw new UsageError(
          'ro: eventfs can not be mounted read-only, because a read changes a queue (leave ro out)',
        );
      throw new UsageError(
        `unknown option '${text}' (eventfs mount --help lists the options; write them as in source=none,sticky=global:1733)`,
      );
    }
    const long = option.long!;
    if (option.optional && text === name) return [long];
    if (!option.required && !option.optional) {
      if (text !== name)
        throw new UsageError(`${name}: the option takes no value (write ${name} alone)`);
      return [long];
    }
    if (text === name) throw new UsageError(`${name}: a value is missing, as in ${name}=...`);
    const value = text.slice(name.length + 1);
    if (PATHS.includes(long.slice(2)) && !value.startsWith('/'))
      throw new UsageError(`${text}: the path must begin with /`);
    return [`${long}=${value}`];
  });
}

/**
 * Mounts as mount(8) asks for, and returns once that is done.
 *
 * @param call the parsed arguments
 * @param program the path of bin/eventfs, to start the daemon
 * @param serve runs `eventfs mount` with these arguments in this process, for `-f`
 * @returns the exit code
 * @throws UsageError for options that are not accepted
 * @throws UserError if a remount is not possible
 */
export async function mountHelper(
  call: HelperCall,
  program: string,
  serve: (args: readonly string[]) => Promise<void>,
): Promise<number> {
  const own = toArguments(call);
  if (call.options.includes('remount')) return remount(call.directory, own);
  const args = [...own, `--fsname=${call.source}`, '--', mountPath(call.directory)];
  if (call.isForeground) {
    await serve(args);
    return ExitCode.ok;
  }
  return untilReady(() => startDaemon(program, ['mount', '--ready-fd=3', '--syslog', ...args]));
}

/** Starts the daemon in a session of its own, without any open descriptor of the caller. */
function startDaemon(program: string, args: readonly string[]): ChildProcess {
  const { NOTIFY_SOCKET: _, ...env } = process.env; // systemd expects messages from the caller
  return spawn(program, args, {
    detached: true,
    cwd: '/',
    env,
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
}

/**
 * Starts a daemon, and passes its messages on until it is ready.
 *
 * @returns the daemon's exit code if it ends before that, else 0
 */
async function untilReady(start: () => ChildProcess): Promise<number> {
  const stop = (): void => void daemon.kill('SIGTERM');
  for (const signal of STOP_SIGNALS) process.on(signal, stop);
  const daemon = start();
  daemon.stderr!.pipe(process.stderr);
  const code = await new Promise<number | null>((done, failed) => {
    daemon.stdio[3]!.once('data', () => done(null));
    daemon.once('close', (exit) => done(exit ?? ExitCode.failed));
    daemon.once('error', failed);
  });
  for (const signal of STOP_SIGNALS) process.removeListener(signal, stop);
  if (code !== null) return code;
  await sleep(LAST_WORDS_MS);
  daemon.stderr!.unpipe();
  daemon.stderr!.destroy();
  daemon.stdio[3]!.destroy();
  daemon.unref();
  return ExitCode.ok;
}

/** `mount -o remount`: makes the daemon read its configuration again; refuses other changes. */
async function remount(directory: string, own: readonly string[]): Promise<number> {
  const path = await requireMount(directory);
  const pid = servingProcess(path);
  if (pid === undefined)
    throw new UserError(
      `${path}: this process can not find the daemon (try as root, in the daemon's PID namespace)`,
    );
  const serving = new Map(Object.entries(configurationOf(pid, path).options));
  const wanted = addMountOptions(new Command('mount'))
    .exitOverride()
    .parse([...own], { from: 'user' });
  for (const { long } of wanted.options) {
    const name = wanted.options.find((option) => option.long === long)!.attributeName();
    if (wanted.getOptionValueSource(name) !== 'cli') continue;
    const isSame =
      JSON.stringify(wanted.getOptionValue(name)) === JSON.stringify(serving.get(name));
    if (!isSame)
      throw new UserError(
        `${path}: a remount can not change ${long!.slice(2)} (try umount, then mount)`,
      );
  }
  try {
    process.kill(pid, 'SIGHUP');
  } catch (error) {
    if (isSystemError(error)) throw UserError.from(error, path, { EPERM: 'try as root' });
    throw error;
  }
  return ExitCode.ok;
}

/**
 * Reconstructs the settings of a running daemon from its command line and from the current file.
 *
 * @throws UserError if the daemon would refuse the file, or is not run by `eventfs mount`
 */
function configurationOf(pid: number, path: string): Configuration {
  const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  const at = words.indexOf('mount');
  const command = addMountOptions(new Command('mount'))
    .option('--mount <dir>')
    .argument('[DIR]')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  try {
    if (at < 0) throw new Error('none');
    command.parse(words.slice(at + 1), { from: 'user' });
  } catch {
    throw new UserError(
      `${path}: its daemon was not started by eventfs mount, and reads no configuration (try umount, then mount)`,
    );
  }
  return new Configuration(command);
}
