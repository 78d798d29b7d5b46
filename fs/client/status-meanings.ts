/**
 * The meaning of each line of `.status` files, in words: `eventfs status --all` prints them, and
 * docs/reference/status.md has the same text. A key without a meaning does not compile.
 */
import { ITEMS, type Item, type Limit } from '../shared/quota-items.js';
import {
  type DaemonKey,
  type DirectoryKey,
  type NamespaceKey,
  type QuotaKey,
  type StatusKey,
  type SubscriberKey,
  quotaOwner,
  refusalOf,
  subscriberKind,
  upperCase,
} from '../shared/status-lines.js';

/** The keys that have a meaning of their own: all without a number or a limit in them. */
type NamedKey = Exclude<
  DaemonKey,
  | QuotaKey
  | SubscriberKey
  | NamespaceKey
  | `REFUSED_${Uppercase<Limit>}`
  | 'REFUSED_DESCRIPTORS'
  | `MOST_${Uppercase<Item>}`
>;
type Meanings<Key extends string> = Readonly<Record<Key, string>>;

/** Returns the meanings of the lines of a netlink source. */
function ofSource<Key extends 'KERNEL' | 'UDEV'>(
  key: Key,
  whose: string,
): Meanings<`${Key}_${'BUFFER' | 'OVERRUNS' | 'GAPS' | 'LATE' | 'FORGED' | 'MALFORMED'}`> {
  const meanings = {
    [`${key}_BUFFER`]: `receive buffer of the socket for ${whose} events, in bytes`,
    [`${key}_OVERRUNS`]: `overruns of that socket: each lost events`,
    [`${key}_GAPS`]: `SEQNUMs that did not come; most belong to other network namespaces`,
    [`${key}_LATE`]: `events that came after they were counted as lost`,
    [`${key}_FORGED`]: `datagrams that were dropped, because ${key === 'UDEV' ? 'root' : 'the kernel'} did not send them`,
    [`${key}_MALFORMED`]: `datagrams that were dropped, because they are no events`,
  };
  return meanings as ReturnType<typeof ofSource<Key>>;
}

/** Returns the meanings of the lines of an outlet that sends to netlink groups. */
function ofNetlink<Key extends 'REBROADCAST' | 'UDEV_OUT'>(
  key: Key,
  option: string,
): Meanings<`${Key}_${'SENT' | 'REFUSED' | 'REMOTE'}`> {
  const meanings = {
    [`${key}_SENT`]: `events that ${option} has sent`,
    [`${key}_REFUSED`]: `events of ${option} that the kernel refused`,
    [`${key}_REMOTE`]: `published events with a HOST, which ${option} never sends`,
  };
  return meanings as ReturnType<typeof ofNetlink<Key>>;
}

/** Returns the meanings of the lines of a socket outlet. */
function ofSocket<Key extends 'SOCKET' | 'FDSOCKET'>(
  key: Key,
  option: string,
): Meanings<`${Key}_${'SUBSCRIBERS' | 'SENT' | 'LOST' | 'REFUSED'}`> {
  const meanings = {
    [`${key}_SUBSCRIBERS`]: `clients of ${option}`,
    [`${key}_SENT`]: `messages that ${option} has sent`,
    [`${key}_LOST`]: `events that clients of ${option} have lost`,
    [`${key}_REFUSED`]: `connections that ${option} refused`,
  };
  return meanings as ReturnType<typeof ofSocket<Key>>;
}

/** The meanings of the lines of `log/.status`. */
export const DAEMON_MEANINGS: Meanings<NamedKey> = {
  DAEMON: 'PID of the daemon',
  STARTED: 'start of the daemon, in seconds since the epoch',
  SEQNUM: "the kernel's last SEQNUM that the daemon has seen",
  RATE: 'events a second, on average over the last minute',
  KERNEL: 'events that came from the kernel',
  UDEV: 'events that came from udevd',
  PUBLISHED: 'events that programs published',
  PUBLISH_CUT: 'records that a publisher left unfinished, and that were not published',
  LOST: 'events that sources lost before they came to the daemon',
  KEPT: 'events in the ring, which streams read',
  MOST_KEPT: 'the most events in the ring',
  DIRECTORIES_PENDING: 'events that wait in all process directories',
  DIRECTORIES_LOST: 'events that process directories have lost, ended ones included',
  STREAMS_PENDING: 'events that wait for all open streams',
  STREAMS_LOST: 'events that streams have lost, closed ones included',
  DIRECTORIES: 'process directories',
  OWNERS: 'processes that own directories',
  OWNERS_EXITED: 'dead owners that called exit(3), with any code',
  OWNERS_SIGNALLED: 'dead owners that a signal ended',
  OWNERS_UNKNOWN: 'dead owners of which the kernel does not tell how they ended',
  STREAMS: 'open files of stream and match/',
  NODES: 'files and directories that the kernel knows by number',
  HANDLES: 'open files of the mount',
  EVENTS: 'links to events and special files in all process directories',
  BYTES: 'bytes of text of these events',
  MEMORY: 'bytes of memory that users are charged for',
  READS: 'blocked reads',
  REFUSED: 'operations that a limit refused',
  QUOTAS_NOT_LISTED: 'users and groups with a quota that have no line, because there are too many',
  NOTIFIER: 'PID of the helper that raises inotify events; 0 if none runs',
  NOTICES: 'inotify events that the helper was asked for',
  NOTICE_BATCHES: 'batches that were sent to the helper',
  WATCHED: 'directories that a process may watch',
  UNTOLD: 'directories whose notices wait for the helper',
  GHOSTS: 'ended directories that wait for the helper',
  GUARDED:
    'holder of the mount while no daemon runs: guardian, systemd or s6; lost if the guardian has ended',
  RESTARTS: 'daemons that died, and that the guardian replaced',
  RELOADS: 'daemons that eventfs reload replaced',
  STANDBY: 'whether the next daemon has started and waits: 1 or 0',
  TRANSPORT: 'how requests come: read from /dev/fuse, or by io-uring',
  PARKED: 'read requests that have no reply yet',
  STARVED: 'how often a queue of io_uring needed help',
  HUNG: 'requests that were answered EIO, because the daemon worked on one for too long',
  REQUEST_TIMEOUT: 'age of a request at which the kernel ends the mount, in seconds; 0: none',
  EXPIRED: 'blocked reads that ended with EINTR before that age',
  COLLECTIONS: 'garbage collections of an idle daemon',
  COLLECTION_MS: 'how long the last of these collections took, in ms',
  ...ofSource('KERNEL', "the kernel's"),
  ...ofSource('UDEV', "udevd's"),
  ...ofNetlink('REBROADCAST', '--rebroadcast'),
  ...ofNetlink('UDEV_OUT', '--udev'),
  ...ofSocket('SOCKET', '--socket'),
  ...ofSocket('FDSOCKET', '--fd-socket'),
  FIFODIR_WRITES: 'writes of --fifodir to FIFOs',
  FIFODIR_FULL: 'writes that a FIFO had no room for',
  FIFODIR_STALE: 'FIFOs without a reader, which were removed',
  FIFODIR_SKIPPED: 'FIFOs that were not written to',
  FIFODIR_LOST: 'bytes that were lost, because too many waited',
  NETNS_OPEN: 'network namespaces of --netns that are open',
  NETNS_SENT: 'events that --netns has sent, to all of them',
  NETNS_REFUSED: 'events of --netns that the kernel refused',
  STREAMS_NOT_LISTED: 'open streams that have no line, because there are too many',
};

/** The meanings of the lines of a process directory's `.status`. */
export const DIRECTORY_MEANINGS: Meanings<DirectoryKey> = {
  OWNER: 'PID of the process that the directory belongs to',
  PENDING: 'events in the directory',
  OLDEST: 'when the oldest of these came, in seconds since the epoch; 0 if there is none',
  ADDED: 'events that were added to the directory, ever',
  BYTES: 'bytes of text of the events in the directory',
  LOST: 'events that the directory has lost, because it was full',
  UID: 'user that the directory belongs to',
  GID: 'group that the directory belongs to',
  MOST_EVENTS: 'the most events in the directory',
  MOST_BYTES: 'the most bytes of text in the directory',
  OVERFLOW: 'what happens if it is full: drop-oldest, drop-newest or refuse',
  STREAMS: 'open files of .stream',
  WAITING: 'blocked reads of .stream',
  NOTICES: 'inotify events that were raised for the directory',
  FILTER: 'the filter; its lines are joined by semicolons',
};

/** The keys with a number or a limit in them, as the reference names them, and their meanings. */
export const PATTERN_MEANINGS = {
  MOST_item: 'the most that all users together may hold of the item',
  REFUSED_limit: 'operations that this limit refused',
  QUOTA_kind_n: 'what the user (UID) or group (GID) n holds, and may hold',
  STREAM_n: 'an open stream: its PID, its id, its waiting, lost and all events, its filter',
  SOCKET_n: 'a client of --socket, likewise, with its user',
  FDSOCKET_n: 'a client of --fd-socket, likewise',
  NETNS_n: 'a network namespace of --netns: its path, its state, its events, its filter',
} as const;

const MOST_ITEMS = new Set<string>(ITEMS.map((item) => `MOST_${upperCase(item)}`));

/** Returns the meaning of a line of `log/.status`; '' if a newer daemon wrote it. */
export function meaningOf(key: StatusKey): string {
  const own = (DAEMON_MEANINGS as Readonly<Record<string, string>>)[key];
  if (own !== undefined) return own;
  if (MOST_ITEMS.has(key)) return PATTERN_MEANINGS.MOST_item;
  if (refusalOf(key) !== undefined) return PATTERN_MEANINGS.REFUSED_limit;
  if (quotaOwner(key) !== undefined) return PATTERN_MEANINGS.QUOTA_kind_n;
  if (/^NETNS_\d+$/.test(key)) return PATTERN_MEANINGS.NETNS_n;
  return subscriberKind(key) === undefined ? '' : PATTERN_MEANINGS.STREAM_n;
}
