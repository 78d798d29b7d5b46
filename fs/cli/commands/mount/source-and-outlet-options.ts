/** The options of `eventfs mount` for sources and outlets of events. */
import { type Command, InvalidArgumentError } from 'commander';
import type { NetnsPlace, SocketPlace, SourceName } from '../../../daemon/options.js';
import { accountId } from '../../../daemon/config/account-ids.js';
import { argumentBytes } from '../../../shared/argument-bytes.js';
import { Filter, FilterError } from '../../../uevent/filter/filter.js';

/** Adds the options to a command. */
export function addSourceAndOutletOptions(command: Command): Command {
  return command
    .option(
      '--source <source>',
      'the source of events: kernel, udev (after its rules) or none; may be repeated',
      collectSource,
      DEFAULT_SOURCES,
    )
    .option(
      '--fleet',
      'the events are those of other hosts, as eventfs bridge publishes them: no source by default, and neither --rebroadcast nor --udev nor --netns',
    )
    .option(
      '--publisher <user>',
      'the user that the file publish belongs to, and so may publish besides root: a name or a uid',
      parseUser,
    )
    .option(
      '--rebroadcast <mask>',
      "send the kernel's datagrams to these netlink groups too, as mdevd -O does (libudev-zero listens on 4)",
      parseMask,
    )
    .option(
      '--udev',
      "send libudev's own messages to netlink group 2, for libudev clients where no udevd runs",
    )
    .option(
      '--socket <path[:mode]>',
      'push events to each client of this SOCK_SEQPACKET socket (mode 0600)',
      parseSocket,
    )
    .option(
      '--fd-socket <path[:mode]>',
      'the same, with each event as a descriptor of a sealed memfd',
      parseSocket,
    )
    .option(
      '--fifodir <dir>',
      'write one byte an event into every FIFO of this directory, as s6-ftrig-notify does',
    )
    .option(
      '--netns <path[=filter]>',
      "send the kernel's events, or those that match, into this network namespace: a name in /run/netns, or /proc/PID/ns/net; may be repeated",
      collectNetns,
      [],
    );
}

/** The value of `--source` if neither the command line nor a file sets it. */
export const DEFAULT_SOURCES: readonly (SourceName | 'none')[] = ['kernel'];

function collectSource(
  text: string,
  before: readonly (SourceName | 'none')[],
): readonly (SourceName | 'none')[] {
  if (text !== 'kernel' && text !== 'udev' && text !== 'none')
    throw new InvalidArgumentError('Use kernel, udev or none.');
  if (before === DEFAULT_SOURCES || before.includes(text))
    return before === DEFAULT_SOURCES ? [text] : before;
  if (text === 'none' || before.includes('none'))
    throw new InvalidArgumentError('Use none without any other source.');
  return [...before, text];
}

function parseUser(text: string): number {
  const uid = accountId('passwd', text);
  if (uid === undefined)
    throw new InvalidArgumentError('Use the name of a user that exists, or a uid.');
  return uid;
}

function parseMask(text: string): number {
  const mask = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : NaN;
  if (!(mask >= 1 && mask <= 0xffffffff))
    throw new InvalidArgumentError('Use a mask of netlink groups, 1 to 0xffffffff, as in 4.');
  return mask;
}

const DEFAULT_SOCKET_MODE = 0o600;

/**
 * Parses PATH or PATH:MODE. Digits after the last `:` are always a mode: a mistyped mode is
 * refused, and not taken for a part of the path.
 */
function parseSocket(text: string): SocketPlace {
  const [, path, mode] = /^(.+?)(?::(\d*))?$/s.exec(text) ?? ['', '', ''];
  if (path === '' || (mode !== undefined && !/^[0-7]{3,4}$/.test(mode))) {
    throw new InvalidArgumentError('Use PATH or PATH:MODE, as in /run/eventfs.sock:0660.');
  }
  return { path, mode: mode === undefined ? DEFAULT_SOCKET_MODE : parseInt(mode, 8) };
}

/** Where `ip netns add` puts a namespace. */
const NETNS_DIRECTORY = '/run/netns';

/**
 * Parses PATH or PATH=FILTER, and checks the filter. A word without `/` is a name of ip-netns(8).
 */
function collectNetns(text: string, before: readonly NetnsPlace[]): readonly NetnsPlace[] {
  const end = text.indexOf('=');
  const name = end < 0 ? text : text.slice(0, end);
  // the bytes: the parser of filters takes one character a byte
  const bytes = argumentBytes(text);
  const filter = end < 0 ? '' : bytes.slice(bytes.indexOf('=') + 1);
  if (name === '' || name === '.' || name === '..')
    throw new InvalidArgumentError(
      'Use PATH or PATH=FILTER, as in /proc/4711/ns/net=SUBSYSTEM==usb.',
    );
  if (name.includes('/') && !name.startsWith('/'))
    throw new InvalidArgumentError(
      'Begin the path with /, or use a name of ip netns list, which has no /.',
    );
  if (!bytes.startsWith(Buffer.from(name).toString('latin1')))
    throw new InvalidArgumentError('Its path is not UTF-8: use another name.');
  try {
    Filter.parse(filter);
  } catch (error) {
    if (!(error instanceof FilterError)) throw error;
    throw new InvalidArgumentError(`${error.message}.`);
  }
  return [...before, { path: name.includes('/') ? name : `${NETNS_DIRECTORY}/${name}`, filter }];
}
