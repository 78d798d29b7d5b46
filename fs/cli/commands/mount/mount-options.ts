/** The options of `eventfs mount`. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import {
  DRIVER_NAMES,
  type OutletOptions,
  type SourceName,
  type StickyDirectory,
  TRANSPORT_NAMES,
} from '../../../daemon/options.js';
import { DEFAULT_MOUNT_SOURCE } from '../../../shared/kernel/mountinfo.js';
import { NAME_MAX } from '../../../shared/kernel/name-max.js';
import { parseDescriptor, wholeNumber } from '../../command-line/numbers.js';
import { type GuardOptions, addGuardOptions } from './guard-options.js';
import { type LogArguments, addLogOptions } from './log-options.js';
import { addSourceAndOutletOptions } from './source-and-outlet-options.js';

/** The values of the options of `eventfs mount`, of the command line or the file. */
export interface MountOptions extends OutletOptions, LogArguments, GuardOptions {
  readonly source: readonly (SourceName | 'none')[];
  readonly stopFd?: number;
  readonly sticky: readonly StickyDirectory[];
  readonly publisher?: number;
  readonly busyPoll: number;
  readonly requestBound: number;
  readonly fsname: string;
  readonly listLinks?: boolean;
  readonly hint?: boolean;
}

const TRANSPORT_HELP =
  'the way of requests to devfuse; auto: io-uring if the kernel offers it, ' +
  'with two to sixteen CPUs, in the first PID namespace';

/** Adds all options of `eventfs mount` to a command. */
export function addMountOptions(command: Command): Command {
  return addLogOptions(addGuardOptions(addSourceAndOutletOptions(command)))
    .addOption(
      new Option('--driver <driver>', 'the way to the kernel')
        .choices(DRIVER_NAMES)
        .default(DRIVER_NAMES[0]),
    )
    .addOption(
      new Option('--transport <transport>', TRANSPORT_HELP)
        .choices(TRANSPORT_NAMES)
        .default(TRANSPORT_NAMES[0]),
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
      'look for the next request for us microseconds before sleeping; 0: never',
      wholeNumber(0, MOST_BUSY_POLL_US),
      DEFAULT_BUSY_POLL_US,
    )
    .option(
      '--request-bound <s>',
      'answer EIO if the daemon works on one request for s seconds, with devfuse; 0: never',
      wholeNumber(0, MOST_REQUEST_BOUND_S),
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

/** Far longer than any request takes, and shorter than a user waits. */
const DEFAULT_REQUEST_BOUND_S = 10;
const MOST_REQUEST_BOUND_S = 3600;

const DEFAULT_STICKY_MODE = 0o755;

function collectSticky(text: string, before: StickyDirectory[]): StickyDirectory[] {
  const found = /^([^/:]+)(?::([0-7]{1,4}))?$/.exec(text);
  if (found === null || found[1] === '.' || found[1] === '..')
    throw new InvalidArgumentError('Use NAME or NAME:MODE, as in global:1733.');
  if (Buffer.byteLength(found[1]) > NAME_MAX)
    throw new InvalidArgumentError(`Use a name of at most ${NAME_MAX} bytes.`);
  return [
    ...before,
    { name: found[1], mode: found[2] === undefined ? DEFAULT_STICKY_MODE : parseInt(found[2], 8) },
  ];
}
