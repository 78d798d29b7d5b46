/** Reads what a mount reports: the `.status` files, and the subscribers. */
import { readFileSync, readdirSync } from 'node:fs';
import { isSystemError } from '../shared/errors.js';
import { parseProperties } from '../uevent/values.js';
import {
  type Status,
  type StatusKey,
  parseSubscriber,
  subscriberKind,
} from '../shared/status-lines.js';

/** The names in the root that are never process directories. */
const FIXED = new Set(['log', 'match', 'publish', 'stream']);

/**
 * Reads the file `.status` of a directory.
 *
 * @param directory the directory's path
 * @param encoding of the path and of the values; `latin1` means one character for each byte
 * @throws SystemError with the errno of open(2) or read(2)
 */
export function readStatusFile(
  directory: string,
  encoding: BufferEncoding = 'utf8',
): Map<StatusKey, string> {
  return parseStatus(readFileSync(Buffer.from(`${directory}/.status`, encoding), encoding));
}

/** Parses the text of a file `.status`. */
export function parseStatus(text: string): Map<StatusKey, string> {
  const status = new Map<StatusKey, string>();
  parseProperties(text, 0, status);
  return status;
}

/** Tells whether a name in the root is that of a process directory. */
export function isProcessDirectory(name: string): boolean {
  return !FIXED.has(name);
}

/**
 * A subscriber: the owner of a process directory, an open stream, or a client of a socket. Its
 * texts have one character for each byte: names, commands and filters need not be UTF-8.
 */
export interface Subscriber {
  /** The directory's name, or `stream`, `socket`, `fdsocket`. */
  readonly what: string;
  readonly pid: number;
  readonly command: string;
  readonly pending: number;
  readonly lost: number;
  /**
   * How many events have come for it. Those that a process directory had no room for are left out.
   */
  readonly added: number;
  /** When its oldest waiting event came, in seconds since the epoch; unknown for a stream. */
  readonly oldest?: number;
  readonly filter: string;
  /** The most events that may wait for it. */
  readonly most: number;
  /** Identifies it as long as the daemon lives. */
  readonly key: string;
}

/** The fraction of its bound above which a queue lags. */
const MUCH = 0.8;

/** Tells whether a subscriber does not keep up: it has lost events, or its queue is nearly full. */
export function lags({ pending, lost, most }: Subscriber): boolean {
  return lost > 0 || pending > most * MUCH;
}

/**
 * Reads the status of all process directories.
 *
 * @param path the mount's path
 * @returns the subscribers, and the number of directories that this process may not read
 * @throws SystemError with the errno of readdir(3) of the mount
 */
export function processDirectories(path: string): { readable: Subscriber[]; unreadable: number } {
  const bytes = Buffer.from(path).toString('latin1'); // a name need not be UTF-8
  let unreadable = 0;
  const readable = readdirSync(path, 'latin1')
    .filter(isProcessDirectory)
    .flatMap((name) => {
      try {
        const lines = readStatusFile(`${bytes}/${name}`, 'latin1');
        return [directoryOwner(name, lines)];
      } catch (error) {
        if (!isSystemError(error)) throw error; // the directory has ended, or is not readable
        if (error.code === 'EACCES') unreadable++;
        return [];
      }
    });
  return { readable, unreadable };
}

/**
 * Returns the subscriber that owns a process directory.
 *
 * @param what the directory's name
 * @param lines the directory's `.status`
 */
export function directoryOwner(what: string, lines: Status): Subscriber {
  const number = (key: StatusKey): number => Number(lines.get(key) ?? 0);
  const pid = number('OWNER');
  return {
    what,
    pid,
    command: commandOf(pid),
    pending: number('PENDING'),
    lost: number('LOST'),
    added: number('ADDED'),
    oldest: number('OLDEST'),
    filter: lines.get('FILTER') ?? '',
    most: number('MOST_EVENTS'),
    key: `directory ${what} ${pid}`,
  };
}

/**
 * Lists the open streams and the clients of sockets.
 *
 * @param daemon the lines of `log/.status`
 */
export function streams(daemon: Status): Subscriber[] {
  const most = Number(daemon.get('MOST_KEPT'));
  return [...daemon].flatMap(([line, text]) => {
    const what = subscriberKind(line);
    if (what === undefined) return [];
    const { pid, id, pending, lost, added, filter } = parseSubscriber(text);
    const key = `${what} ${id}`;
    return [{ what, pid, command: commandOf(pid), pending, lost, added, filter, most, key }];
  });
}

/**
 * Reads the kernel's name of a process: at most 15 bytes (proc_pid_comm(5)).
 *
 * @returns one character for each byte; `?` if the name can't be read
 */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'latin1').slice(0, -1);
  } catch {
    return '?';
  }
}
