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
  const text = readFileSync(Buffer.from(`${directory}/.status`, encoding), encoding);
  const status = new Map<StatusKey, string>();
  parseProperties(text, 0, status);
  return status;
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
  readonly filter: string;
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
    .filter((name) => !FIXED.has(name))
    .flatMap((name) => {
      try {
        const lines = readStatusFile(`${bytes}/${name}`, 'latin1');
        return [subscriberOf(name, lines)];
      } catch (error) {
        if (!isSystemError(error)) throw error; // the directory has ended, or is not readable
        if (error.code === 'EACCES') unreadable++;
        return [];
      }
    });
  return { readable, unreadable };
}

function subscriberOf(what: string, lines: Status): Subscriber {
  const pid = Number(lines.get('OWNER'));
  return {
    what,
    pid,
    command: commandOf(pid),
    pending: Number(lines.get('PENDING')),
    lost: Number(lines.get('LOST')),
    filter: lines.get('FILTER') ?? '',
  };
}

/**
 * Lists the open streams and the clients of sockets.
 *
 * @param daemon the lines of `log/.status`
 */
export function streams(daemon: Status): Subscriber[] {
  return [...daemon].flatMap(([key, text]) => {
    const what = subscriberKind(key);
    if (what === undefined) return [];
    const { pid, pending, lost, filter } = parseSubscriber(text);
    return [{ what, pid, command: commandOf(pid), pending, lost, filter }];
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
