/** What a mount says of itself: `.status` files, and who subscribes. */
import { readFileSync, readdirSync } from 'node:fs';
import { isSystemError } from '../shared/errors.js';
import {
  type Status,
  type StatusKey,
  parseSubscriber,
  subscriberKind,
} from '../shared/status-lines.js';

/** What is always in the root and no process directory. */
const FIXED = new Set(['log', 'match', 'publish', 'stream']);

/** @param encoding of the path, and of the values: as `latin1` they are bytes as characters */
export function readStatusFile(
  directory: string,
  encoding: BufferEncoding = 'utf8',
): Map<StatusKey, string> {
  const lines = readFileSync(Buffer.from(`${directory}/.status`, encoding), encoding)
    .split('\n')
    .filter((line) => line !== '');
  return new Map(
    lines.map((line) => [
      line.slice(0, line.indexOf('=')) as StatusKey,
      line.slice(line.indexOf('=') + 1),
    ]),
  );
}

/**
 * The owner of a process directory, an open stream or a client of a socket. Texts are bytes as characters: names, commands and
 * filters need not be UTF-8.
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

/** All process directories, and how many of them are not ours to look into. */
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
        if (!isSystemError(error)) throw error; // else it has ended since, or is not ours to look into
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

/** The open streams and the clients of sockets. */
export function streams(daemon: Status): Subscriber[] {
  return [...daemon].flatMap(([key, text]) => {
    const what = subscriberKind(key);
    if (what === undefined) return [];
    const { pid, pending, lost, filter } = parseSubscriber(text);
    return [{ what, pid, command: commandOf(pid), pending, lost, filter }];
  });
}

/** What the kernel calls a process, bytes as characters, cut to 15 bytes (proc_pid_comm(5)); `?` where there is none. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'latin1').slice(0, -1);
  } catch {
    return '?';
  }
}
