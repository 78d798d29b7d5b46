/** The options of `eventfs mount` that keep the mount while no daemon runs. */
import { type Command, InvalidArgumentError } from 'commander';
import type { DriverName, TransportName } from '../../../daemon/options.js';
import { UsageError } from '../../../shared/errors.js';
import { wholeNumber } from '../../command-line/numbers.js';

/** The values of these options, and of others that a guarded mount depends on. */
export interface GuardOptions {
  readonly driver: DriverName;
  readonly transport: TransportName;
  readonly readyFd?: number;
  readonly logJson?: boolean;
  readonly syslog?: boolean;
  readonly guard?: boolean;
  readonly standby?: boolean;
  readonly guardLimit: string;
  readonly guardDeadline: number;
  readonly fdHolder?: string;
}

/** Ten daemons in ten seconds: a request or an event ends each of them. */
const DEFAULT_LIMIT = '10:10';
/** MOST_DEATHS in native/guard/guard.h. */
const MOST_DEATHS = 1000;
const DEFAULT_DEADLINE_S = 30;
const MOST_DEADLINE_S = 3600;

/** Adds the options to a command. */
export function addGuardOptions(command: Command): Command {
  return command
    .option('--guard', 'keep the mount if the daemon dies: a guardian starts it again')
    .option('--standby', 'with --guard: start the next daemon before it is needed')
    .option(
      '--guard-limit <deaths:seconds>',
      'with --guard: unmount after this number of deaths of daemons within this time',
      parseLimit,
      DEFAULT_LIMIT,
    )
    .option(
      '--guard-deadline <seconds>',
      'with --guard: kill a daemon that takes longer to start, to restore or to stop',
      wholeNumber(1, MOST_DEADLINE_S),
      DEFAULT_DEADLINE_S,
    )
    .option(
      '--fd-holder <holder>',
      'keep the mount if the daemon dies: in the store of systemd, or in s6-fdholder-daemon by s6:SOCKET',
      parseHolder,
    );
}

/** Returns the limit in the form of the guardian. */
function parseLimit(text: string): string {
  const [, deaths, seconds] = /^(\d{1,4}):(\d{1,6})$/.exec(text) ?? [];
  if (!(Number(deaths) >= 1 && Number(deaths) <= MOST_DEATHS && Number(seconds) >= 1))
    throw new InvalidArgumentError(
      `Use DEATHS:SECONDS, as in ${DEFAULT_LIMIT}, with 1 to ${MOST_DEATHS} deaths.`,
    );
  return text;
}

function parseHolder(text: string): string {
  if (text !== 'systemd' && !/^s6:./.test(text))
    throw new InvalidArgumentError('Use systemd or s6:SOCKET.');
  return text;
}

/** Returns whether the options ask for a holder of the mount. */
export function wantsHolder({
  guard,
  fdHolder,
}: Pick<GuardOptions, 'guard' | 'fdHolder'>): boolean {
  return guard === true || fdHolder !== undefined;
}

/** Returns the option that asks for the holder, as on the command line. */
export function holderOption({
  guard,
  fdHolder,
}: Pick<GuardOptions, 'guard' | 'fdHolder'>): string {
  return guard === true ? '--guard' : `--fd-holder ${fdHolder}`;
}

/**
 * Refuses options that can't go together with a holder.
 *
 * @throws UsageError with the reason
 */
export function refuseGuardConflicts(options: GuardOptions): void {
  const needsGuard = [
    ...(options.standby === true ? ['--standby'] : []),
    ...(options.guardLimit === DEFAULT_LIMIT ? [] : ['--guard-limit']),
    ...(options.guardDeadline === DEFAULT_DEADLINE_S ? [] : ['--guard-deadline']),
  ];
  if (needsGuard.length > 0 && options.guard !== true)
    throw new UsageError(`${needsGuard[0]}: it needs --guard (add --guard)`);
  if (!wantsHolder(options)) return;
  const option = holderOption(options);
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
