/** The options of `eventfs mount`. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { DRIVER_NAMES, type StickyDirectory, TRANSPORT_NAMES } from '../../../daemon/options.js';
import { DEFAULT_MOUNT_SOURCE } from '../../../shared/kernel/mountinfo.js';
import { logOptions } from './log-options.js';
import { sourceAndOutletOptions } from './source-and-outlet-options.js';

/** Adds all options of `eventfs mount` to a command. */
export function mountOptions(command: Command): Command {
  return logOptions(sourceAndOutletOptions(command))
    .addOption(
      new Option('--driver <driver>', 'the way to the kernel')
        .choices(DRIVER_NAMES)
        .default(DRIVER_NAMES[0]),
    )
    .addOption(
      new Option(
        '--transport <transport>',
        'the way of requests to devfuse; auto: io-uring if the kernel offers it and there is more than one CPU',
      )
        .choices(TRANSPORT_NAMES)
        .default(TRANSPORT_NAMES[0]),
    )
    .option('--guard', 'keep the mount if the daemon dies: a guardian starts it again')
    .option('--standby', 'with --guard: start the next daemon before it is needed')
    .option(
      '--guard-limit <deaths:seconds>',
      'with --guard: unmount once so many daemons have died in so many seconds',
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
    )
    .option(
      '--ready-fd <fd>',
      'write a newline to this descriptor and close it once mounted',
      parseDescriptor,
    )
    .option(
      '--stop-fd <fd>',
      'unmount once this descriptor, a pipe, has no writer any more',
      parseDescriptor,
    )
    .option(
      '--sticky <name[:mode]>',
      'make this directory at the start, and keep it without an owner; may be repeated',
      collectSticky,
      [],
    )
    .option(
      '--busy-poll <us>',
      'look for the next request so many microseconds before sleeping; 0: not at all',
      parseMicroseconds,
      DEFAULT_BUSY_POLL_US,
    )
    .option(
      '--request-bound <s>',
      'answer EIO if the daemon works on one request for so many seconds, with devfuse; 0: never',
      parseBound,
      DEFAULT_REQUEST_BOUND_S,
    )
    .option('--list-links', 'list stream, head and tail too (then cp -r and grep -r do not end)')
    .option(
      '--fsname <name>',
      'the source that mount tables show, with devfuse',
      DEFAULT_MOUNT_SOURCE,
    )
    .option(
      '--config <file>',
      'a TOML file with these options, bounds and quotas (default: /etc/eventfs.toml, or without root ~/.config/eventfs.toml, if it exists)',
    )
    .option('--syslog', 'once mounted, send messages to /dev/log instead of standard error')
    .option(
      '--check',
      'do not mount: check the options, the configuration and this machine, one line a finding',
    )
    .option('--hint', 'once mounted, print commands to try');
}

/** Measured: docs/decisions/048-busy-poll.md. */
const DEFAULT_BUSY_POLL_US = 50;
const MOST_BUSY_POLL_US = 1000;

/** Ten daemons in ten seconds: a request or an event ends each of them. */
const DEFAULT_LIMIT = '10:10';
/** MOST_DEATHS in native/guard/guard.h. */
const MOST_DEATHS = 1000;

const DEFAULT_DEADLINE_S = 30;
const MOST_DEADLINE_S = 3600;

/** Far longer than any request takes, and shorter than a user waits. */
const DEFAULT_REQUEST_BOUND_S = 10;
const MOST_REQUEST_BOUND_S = 3600;

const DEFAULT_STICKY_MODE = 0o755;

function collectSticky(text: string, before: StickyDirectory[]): StickyDirectory[] {
  const found = /^([^/:]+)(?::([0-7]{1,4}))?$/.exec(text);
  if (found === null || found[1] === '.' || found[1] === '..')
    throw new InvalidArgumentError('Use NAME or NAME:MODE, as in global:1733.');
  return [
    ...before,
    { name: found[1], mode: found[2] === undefined ? DEFAULT_STICKY_MODE : parseInt(found[2], 8) },
  ];
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

function parseMicroseconds(text: string): number {
  const us = Number(text);
  if (!/^\d+$/.test(text) || us > MOST_BUSY_POLL_US)
    throw new InvalidArgumentError(`Use a whole number from 0 to ${MOST_BUSY_POLL_US}.`);
  return us;
}

function parseBound(text: string): number {
  const seconds = Number(text);
  if (!/^\d+$/.test(text) || seconds > MOST_REQUEST_BOUND_S)
    throw new InvalidArgumentError(`Use a whole number from 0 to ${MOST_REQUEST_BOUND_S}.`);
  return seconds;
}

function parseDescriptor(text: string): number {
  const fd = Number(text);
  if (!Number.isInteger(fd) || fd < 1)
    throw new InvalidArgumentError('Use a descriptor number, 1 or more.');
  return fd;
}
