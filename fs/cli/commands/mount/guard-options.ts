/** The options of `eventfs mount` that keep the mount while no daemon runs. */
import { type Command, InvalidArgumentError } from 'commander';

/** Ten daemons in ten seconds: a request or an event ends each of them. */
export const DEFAULT_LIMIT = '10:10';
/** MOST_DEATHS in native/guard/guard.h. */
const MOST_DEATHS = 1000;
export const DEFAULT_DEADLINE_S = 30;
const MOST_DEADLINE_S = 3600;

/** Adds the options to a command. */
export function guardOptions(command: Command): Command {
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
      parseDeadline,
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

function parseDeadline(text: string): number {
  const seconds = Number(text);
  if (!/^\d+$/.test(text) || seconds < 1 || seconds > MOST_DEADLINE_S)
    throw new InvalidArgumentError(`Use a whole number from 1 to ${MOST_DEADLINE_S}.`);
  return seconds;
}

function parseHolder(text: string): string {
  if (text !== 'systemd' && !/^s6:./.test(text))
    throw new InvalidArgumentError('Use systemd or s6:SOCKET.');
  return text;
}
