/**
 * Reads the whole status of a mount at one moment. All reads of the mount are asynchronous: a
 * program with a terminal still hears its keys while the daemon does not answer.
 */
import { open, opendir, readFile, readdir } from 'node:fs/promises';
import { isSystemError } from '../shared/errors.js';
import type { Status } from '../shared/status-lines.js';
import {
  type Subscriber,
  directoryOwner,
  isProcessDirectory,
  parseStatus,
  streams,
} from './status.js';

/** The status of a mount at one moment. */
export interface MountStatus {
  /** The clock of the process, in milliseconds (performance.now()). */
  readonly atMs: number;
  /** The lines of `log/.status`; values have one character for each byte. */
  readonly daemon: Status;
  /** The process directories that this process may read, then streams and clients of sockets. */
  readonly subscribers: readonly Subscriber[];
  /** The number of process directories that this process may not read. */
  readonly unreadable: number;
}

/** How many directories are read at the same time: Node has four threads for it. */
const AT_ONCE = 4;

/**
 * Reads the status of a mount.
 *
 * @param path the mount's path
 * @throws SystemError with the errno of open(2), read(2) or readdir(3)
 */
export async function readMountStatus(path: string): Promise<MountStatus> {
  const daemon = parseStatus(await readFile(`${path}/log/.status`, 'latin1'));
  const atMs = performance.now();
  const names = (await readdir(path, 'latin1' as BufferEncoding)).filter(isProcessDirectory);
  const owners: (Subscriber | 'unreadable' | 'ended')[] = names.map(() => 'ended');
  let next = 0;
  const readSome = async (): Promise<void> => {
    for (let at = next++; at < names.length; at = next++)
      owners[at] = await readDirectory(path, names[at]);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, readSome));
  return {
    atMs,
    daemon,
    subscribers: [...owners.filter((owner) => typeof owner !== 'string'), ...streams(daemon)],
    unreadable: owners.filter((owner) => owner === 'unreadable').length,
  };
}

/** @param name one character for each byte */
async function readDirectory(
  path: string,
  name: string,
): Promise<Subscriber | 'unreadable' | 'ended'> {
  try {
    const file = Buffer.concat([Buffer.from(`${path}/`), Buffer.from(`${name}/.status`, 'latin1')]);
    return directoryOwner(name, parseStatus(await readFile(file, 'latin1')));
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return error.code === 'EACCES' ? 'unreadable' : 'ended';
  }
}

/** An event of `log/`, and when it came. */
export interface LoggedEvent {
  /** The event's text, one character for each byte. */
  readonly text: string;
  /** In milliseconds since the epoch. */
  readonly timeMs: number;
}

/**
 * Reads the newest events of `log/`, newest first.
 *
 * @param path the mount's path
 * @param most the most events to read
 * @throws SystemError with the errno of open(2) or readdir(3)
 */
export async function readNewest(path: string, most: number): Promise<LoggedEvent[]> {
  const names: string[] = [];
  const directory = await opendir(`${path}/log`, { bufferSize: 512 });
  for await (const { name } of directory) names.push(name);
  const found: LoggedEvent[] = [];
  for (const name of names.slice(-most).reverse()) {
    const event = await readLogged(`${path}/log/${name}`);
    if (event !== null) found.push(event);
  }
  return found;
}

async function readLogged(path: string): Promise<LoggedEvent | null> {
  try {
    const file = await open(path);
    try {
      const [text, { mtimeMs }] = [await file.readFile('latin1'), await file.stat()];
      return { text, timeMs: mtimeMs };
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isSystemError(error, 'ENOENT') || isSystemError(error, 'ESTALE')) return null; // overwritten
    throw error;
  }
}
