/**
 * `eventfs settle`: until everybody has done with the events that are there now.
 *
 * The acknowledgement of an event is that no queue holds it any more: its reader has unlinked it or read it off its `.stream`.
 * Inode numbers are given in the order in which things come, events and directories alike. So a directory that is made now has one
 * that divides the events: what has a smaller one is older, whatever the clock and the events' names say.
 */
import { type Stats, existsSync, lstatSync, readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { UserError, isSystemError } from '../../shared/errors.js';
import { Filter } from '../../uevent/filter/filter.js';
import { requireMount } from '../../client/mounted.js';
import { printable, textOf } from '../terminal/output.js';
import { makeOwnDirectory } from '../../client/own-directory.js';
import {
  type Subscriber,
  commandOf,
  processDirectories,
  readStatusFile,
  streams,
} from '../../client/status.js';
import type { Status } from '../../shared/status-lines.js';

const POLL_MS = 20;
/** How long the kernel's newest event may take to the daemon; in another network namespace its number may never come. */
const ARRIVAL_MS = 100;

export async function settle(options: {
  readonly timeout?: number;
  readonly mount: string;
}): Promise<void> {
  const mount = await requireMount(options.mount);
  const end = options.timeout === undefined ? Infinity : Date.now() + options.timeout * 1000;
  await untilArrived(mount);
  const call = new Call(mount);
  for (;;) {
    const lagging = call.lagging();
    if (lagging.length === 0) return;
    if (Date.now() >= end) {
      throw new UserError(
        `after ${options.timeout} s events of before the call wait for ${lagging.map(describe).join(', ')}`,
      );
    }
    await sleep(Math.max(0, Math.min(POLL_MS, end - Date.now())));
  }
}

interface Lagging {
  readonly pid: number | null;
  /** Bytes as characters. */
  readonly what: string;
  readonly count: number;
}

function describe({ pid, what, count }: Lagging): string {
  const command = pid === null ? '' : `${printable(textOf(commandOf(pid)))} (pid ${pid}), `;
  return `${command}${printable(textOf(what))}: ${count}`;
}

/** Until the daemon has read what the kernel had sent when we were called. */
async function untilArrived(mount: string): Promise<void> {
  const sent = lastSent();
  if (!readStatusFile(`${mount}/log`).has('KERNEL_BUFFER')) return; // the kernel is no source of its
  for (let waited = 0; waited < ARRIVAL_MS; waited += POLL_MS) {
    if (Number(readStatusFile(`${mount}/log`).get('SEQNUM')) >= sent) return;
    await sleep(POLL_MS);
  }
}

/** The SEQNUM of the kernel's newest event; Infinity where /sys is not mounted, as in a container: the time is waited for then. */
function lastSent(): number {
  try {
    return Number(readFileSync('/sys/kernel/uevent_seqnum', 'latin1'));
  } catch (error) {
    if (isSystemError(error)) return Infinity;
    throw error;
  }
}

/** What there was when we were called. */
class Call {
  /** Events with a smaller inode number are older. */
  readonly #mark: number;
  /** How many events there had been. */
  readonly #passed: number;
  /** Directories in which nothing older is left: it can't come back but by link(2). */
  readonly #done = new Set<string>();
  readonly #own: string;
  readonly #daemon: number;

  constructor(private readonly mount: string) {
    // Before the directory is made: an event in between would count as older than the call, for each stream that it waits for.
    const status = readStatusFile(`${mount}/log`);
    this.#passed = eventsSoFar(status);
    this.#daemon = Number(status.get('DAEMON'));
    const directory = makeOwnDirectory(mount, '.settle', Filter.parse('ACTION==none-for-us'));
    this.#own = directory.slice(mount.length + 1);
    this.#mark = lstatSync(directory).ino;
  }

  lagging(): Lagging[] {
    const { readable, unreadable } = processDirectories(this.mount);
    const found = readable
      .filter(({ pid }) => this.#hasReader(pid))
      .flatMap((directory) => this.#laggingDirectory(directory));
    found.push(...this.#laggingStreams());
    if (unreadable === 0 || found.length > 0) return found;
    // Whoever it is: the link counts in log/ are everybody's to see.
    const held = readdirSync(`${this.mount}/log`).filter((name) =>
      this.#isHeld(`${this.mount}/log/${name}`),
    ).length;
    return held === 0
      ? []
      : [
          {
            pid: null,
            what: 'directories that are not yours to look into (try as root)',
            count: held,
          },
        ];
  }

  /** Sticky directories are the daemon's, or their owner is dead: nobody lags there. */
  #hasReader(pid: number): boolean {
    return (
      pid !== this.#daemon && (existsSync(`/proc/${pid}`) || !existsSync(`/proc/${this.#daemon}`))
    );
  }

  #laggingDirectory({ what, pid }: Subscriber): Lagging[] {
    if (what === this.#own || this.#done.has(what)) return [];
    const path = `${Buffer.from(this.mount).toString('latin1')}/${what}`;
    let count = 0;
    try {
      for (const name of readdirSync(bytesOf(path), 'latin1'))
        if (this.#isOlder(bytesOf(`${path}/${name}`))) count++;
    } catch (error) {
      if (!isSystemError(error)) throw error; // it has ended since
    }
    if (count > 0) return [{ pid, what, count }];
    this.#done.add(what);
    return [];
  }

  /** A stream's events have no names. It lags for sure when more wait than have come since; one with a filter may lag and not be seen. */
  #laggingStreams(): Lagging[] {
    const status = readStatusFile(`${this.mount}/log`);
    const since = eventsSoFar(status) - this.#passed;
    return streams(status)
      .filter(({ pending }) => pending > since)
      .map(({ pid, what, pending }) => ({ pid, what, count: pending - since }));
  }

  #isOlder(path: Buffer): boolean {
    const stat = statOf(path);
    return stat?.isFile() === true && stat.ino < this.#mark;
  }

  #isHeld(path: string): boolean {
    const stat = statOf(path);
    return stat !== undefined && stat.ino < this.#mark && stat.nlink > 1;
  }
}

/** A path of bytes as characters: a name need not be UTF-8. */
function bytesOf(path: string): Buffer {
  return Buffer.from(path, 'latin1');
}

function statOf(path: string | Buffer): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (isSystemError(error)) return undefined; // it has been taken since
    throw error;
  }
}

function eventsSoFar(status: Status): number {
  return (['KERNEL', 'UDEV', 'PUBLISHED'] as const).reduce(
    (sum, source) => sum + Number(status.get(source)),
    0,
  );
}
