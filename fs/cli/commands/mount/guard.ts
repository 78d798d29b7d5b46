/** `eventfs mount --guard` and `--fd-holder`: the process that holds the mount without a daemon. */
import { accessSync, constants, readFileSync } from 'node:fs';
import { execute, exitNow, guardProgram } from '#native';
import type { DaemonOptions, OpenedPaths } from '../../../daemon/options.js';
import type { Daemon } from '../../../daemon/daemon.js';
import { tellSystemdThrough } from '../../../daemon/readiness.js';
import { type MappedState, STATE, mapState } from '../../../daemon/state-memory.js';
import { Guardian } from '../../../guard/guardian.js';
import type { DescriptorStore } from '../../../guard/descriptor-store.js';
import { GUARD_VARIABLE } from '../../../guard/hello.js';
import type { Holder } from '../../../guard/holder.js';
import { type LineLogger, type Logger, SILENT } from '../../../shared/log/logger.js';
import { ExitCode, explain } from '../../terminal/explain.js';
import type { GuardOptions } from './guard-options.js';
import { dropConfiguration } from './kept-configuration.js';

/**
 * Replaces this process by the guardian, which starts it again as the daemon. Does nothing without
 * the option.
 *
 * @param path the mount point, as mountinfo shows it
 * @throws UserError if the guardian can't have its lock
 */
export async function becomeGuardian(path: string, options: GuardOptions): Promise<void> {
  if (options.guard !== true) return;
  const { controlDirectory, controlFiles } = await import('../../../guard/control-files.js');
  const { inheritedDescriptors } = await import('../../inherited-descriptors.js');
  const { lock, socket } = controlFiles(path, controlDirectory());
  const own = [
    guardProgram,
    ...['--mount', path, '--socket', socket, '--lock', lock, '--limit', options.guardLimit],
    ...['--deadline', String(options.guardDeadline)],
    ...(options.standby === true ? ['--standby'] : []),
    ...(options.logJson === true ? ['--json'] : []),
    ...(options.syslog === true ? ['--syslog'] : []),
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

/** A mount that another process holds, and what it has of the last daemon. */
export interface HeldMount {
  readonly holder?: Holder;
  /** The state of the last daemon. */
  readonly mapped?: MappedState | undefined;
  /** The paths that this daemon has opened while another one served. */
  readonly opened?: OpenedPaths | undefined;
}

/**
 * Connects to the process that holds the mount. A standby waits here until it is needed.
 *
 * @param path the mount point, as mountinfo shows it
 * @param guardian a result of {@link ownGuardian}
 * @param standby returns the options of the daemon, for a standby
 * @param logger gets what the holder refuses later
 * @returns nothing if the options ask for no holder
 * @throws UserError if there is none
 */
export async function holderOf(
  path: string,
  { fdHolder }: GuardOptions,
  guardian: Guardian | undefined,
  standby: () => DaemonOptions,
  logger: Logger,
): Promise<HeldMount> {
  if (guardian === undefined) {
    if (fdHolder === undefined) return {};
    const holder = await connect(fdHolder, path, logger);
    holder.dropEnded();
    return { holder, mapped: mappedOf(holder) };
  }
  let mapped: MappedState | undefined;
  let opened: OpenedPaths | undefined;
  if (guardian.role === 'next') {
    const { prepare } = await import('../../../daemon/prepare.js');
    mapped = mappedOf(guardian);
    opened = await prepare(standby(), guardian.look(STATE), () => guardian.isCalled);
  }
  await guardian.taken();
  dropConfiguration(guardian);
  mapped ??= mappedOf(guardian);
  return { holder: guardian, mapped, opened };
}

function mappedOf(holder: Holder): MappedState | undefined {
  const fd = holder.look(STATE);
  if (fd === undefined) return undefined;
  try {
    return mapState(fd);
  } catch {
    return undefined; // the daemon meets the error again when it opens the state, and reports it
  }
}

async function connect(fdHolder: string, path: string, logger: Logger): Promise<DescriptorStore> {
  if (fdHolder === 'systemd')
    return (await import('../../../guard/systemd-store.js')).SystemdStore.open(logger);
  const { S6Fdholder } = await import('../../../guard/s6-fdholder.js');
  return new S6Fdholder(fdHolder.slice('s6:'.length), path, logger);
}

/**
 * Connects to the guardian that has started this process; undefined if none has.
 *
 * @throws UserError if it is of another version
 */
export function ownGuardian(logger: Logger): Guardian | undefined {
  const { [GUARD_VARIABLE]: socket } = process.env;
  if (socket === undefined) return undefined;
  const guardian = new Guardian(Number(socket), logger);
  tellSystemdThrough((state) => guardian.notify(state));
  return guardian;
}

/**
 * Checks whether there is a process that would hold the mount, for `eventfs mount --check`.
 *
 * @throws UserError if the process of --fd-holder is not there, SystemError without the guardian's
 *   program
 */
export async function checkHolder({ guard, fdHolder }: GuardOptions): Promise<void> {
  if (guard === true) accessSync(guardProgram, constants.X_OK);
  else if (fdHolder === 'systemd') await connect(fdHolder, '', SILENT);
  else if (fdHolder !== undefined) {
    const { checkFdholder } = await import('../../../guard/s6-fdholder.js');
    checkFdholder(fdHolder.slice('s6:'.length));
  }
}

/** Returns whether the guardian has started this daemon for one that has served. */
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
    takeBack: () => daemon.takeBack(),
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
