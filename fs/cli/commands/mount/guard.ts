/** `eventfs mount --guard` and `--fd-holder`: the process that holds the mount without a daemon. */
import { readFileSync } from 'node:fs';
import { execute, exitNow, guardProgram } from '#native';
import type { DaemonOptions, DriverName, TransportName } from '../../../daemon/options.js';
import type { Daemon } from '../../../daemon/daemon.js';
import { tellSystemdThrough } from '../../../daemon/readiness.js';
import { type MappedState, STATE, mapState } from '../../../daemon/state-memory.js';
import { GUARD_VARIABLE, Guardian } from '../../../guard/guardian.js';
import type { Holder } from '../../../guard/holder.js';
import { UsageError } from '../../../shared/errors.js';
import type { LineLogger, Logger } from '../../../shared/log/logger.js';
import { ExitCode, explain } from '../../terminal/explain.js';

/** The options that this file knows. */
export interface GuardOptions {
  readonly driver: DriverName;
  readonly transport: TransportName;
  readonly readyFd?: number;
  readonly logJson?: boolean;
  readonly guard?: boolean;
  readonly standby?: boolean;
  readonly guardLimit: string;
  readonly guardDeadline: number;
  readonly fdHolder?: string;
}

/** Whether the options ask for a holder of the mount. */
export function wantsHolder({
  guard,
  fdHolder,
}: Pick<GuardOptions, 'guard' | 'fdHolder'>): boolean {
  return guard === true || fdHolder !== undefined;
}

/**
 * Refuses options that can't go together with a holder.
 *
 * @throws UsageError with the reason
 */
export function refuseGuardConflicts(options: GuardOptions): void {
  if (options.standby === true && options.guard !== true)
    throw new UsageError('--standby: it needs --guard (add --guard)');
  if (!wantsHolder(options)) return;
  const option = options.guard === true ? '--guard' : `--fd-holder ${options.fdHolder}`;
  if (options.guard === true && options.fdHolder !== undefined)
    throw new UsageError(`--guard: --fd-holder holds the mount too (give one of the two)`);
  if (options.driver !== 'devfuse')
    throw new UsageError(
      `${option}: the driver ${options.driver} can't take a mount over (use --driver devfuse)`,
    );
  if (options.transport === 'io-uring')
    throw new UsageError(
      `${option}: the kernel can't give a ring to another daemon (leave --transport out, or use --transport read)`,
    );
}

/**
 * Replaces this process by the guardian, which starts it again as the daemon. Does nothing in the
 * daemon of a guardian.
 *
 * @param path the mount point, as mountinfo shows it
 * @throws UserError if the guardian can't have its lock
 */
export async function becomeGuardian(path: string, options: GuardOptions): Promise<void> {
  if (options.guard !== true || process.env[GUARD_VARIABLE] !== undefined) return;
  const { controlDirectory, controlFiles } = await import('../../../guard/control-files.js');
  const { inheritedDescriptors } = await import('../../inherited-descriptors.js');
  const { lock, socket } = controlFiles(path, controlDirectory());
  const own = [
    guardProgram,
    ...['--mount', path, '--socket', socket, '--lock', lock, '--limit', options.guardLimit],
    ...['--deadline', String(options.guardDeadline)],
    ...(options.standby === true ? ['--standby'] : []),
    ...(options.logJson === true ? ['--json'] : []),
    ...(options.readyFd === undefined ? [] : ['--ready-fd', String(options.readyFd)]),
    '--',
    process.execPath,
  ];
  // /proc has the bytes of arguments that are not UTF-8
  const [, rest] = splitAfterNul(readFileSync('/proc/self/cmdline'));
  execute(
    Buffer.concat([Buffer.from(own.map((word) => `${word}\0`).join('')), rest]),
    readFileSync('/proc/self/environ'),
    inheritedDescriptors(),
  );
}

function splitAfterNul(bytes: Buffer): [Buffer, Buffer] {
  const end = bytes.indexOf(0) + 1;
  return [bytes.subarray(0, end), bytes.subarray(end)];
}

/** The process that holds the mount, and the state that it has of the last daemon. */
export interface Held {
  readonly holder?: Holder;
  readonly mapped?: MappedState;
}

/**
 * Connects to the process that holds the mount. A standby waits here until it is needed.
 *
 * @param path the mount point, as mountinfo shows it
 * @param standby returns the options of the daemon, for a standby
 * @returns nothing if the options ask for no holder
 * @throws UserError if there is none
 */
export async function holderOf(
  path: string,
  options: GuardOptions,
  logger: Logger,
  standby: () => DaemonOptions,
): Promise<Held> {
  const holder = await connect(path, options, logger);
  if (holder === undefined) return {};
  if (!(holder instanceof Guardian)) return { holder, ...mappedOf(holder) };
  tellSystemdThrough((state) => holder.notify(state));
  let held: Held = { holder };
  if (holder.role === 'next') {
    const { prepare } = await import('../../../daemon/prepare.js');
    held = { holder, ...mappedOf(holder) };
    await prepare(standby(), holder.look(STATE), () => holder.isCalled);
  }
  await holder.taken();
  return held.mapped === undefined ? { holder, ...mappedOf(holder) } : held;
}

function mappedOf(holder: Holder): { mapped?: MappedState } {
  const fd = holder.look(STATE);
  if (fd === undefined) return {};
  try {
    return { mapped: mapState(fd) };
  } catch {
    return {}; // the daemon meets the error again when it opens the state, and reports it
  }
}

async function connect(
  path: string,
  { guard, fdHolder }: GuardOptions,
  logger: Logger,
): Promise<Holder | undefined> {
  if (fdHolder === 'systemd')
    return new (await import('../../../guard/systemd-store.js')).SystemdStore();
  if (fdHolder !== undefined) {
    const { S6Fdholder } = await import('../../../guard/s6-fdholder.js');
    return new S6Fdholder(fdHolder.slice('s6:'.length), path);
  }
  if (guard !== true) return undefined;
  return new Guardian(Number(process.env[GUARD_VARIABLE]), logger);
}

/** Whether the guardian has started this daemon for one that has served. */
export function isReplacement(holder: Holder | undefined): boolean {
  return holder instanceof Guardian && holder.takesOver;
}

/** Lets `eventfs reload` replace a daemon. */
export function allowReplacement(
  holder: Holder | undefined,
  daemon: Daemon,
  log: LineLogger,
): void {
  if (!(holder instanceof Guardian)) return;
  holder.allowReplacement({
    yield: () => daemon.pause(),
    resume: () => daemon.resume(),
    quit: () => {
      log.close();
      exitNow(0); // no unmount: the next daemon serves
    },
  });
}

/** Ends this process without an unmount: the mount stays for the next attempt. */
export function failTakeover(error: unknown, holder: Holder, log: LineLogger): never {
  const say = (message: string): void => {
    log.error(message);
    holder.nack(message);
  };
  let code: number = ExitCode.failed;
  try {
    code = explain(error, 'mount', say);
  } catch {
    log.error('unexpected error', error);
    holder.nack(String(error));
  }
  log.close();
  exitNow(code);
}
