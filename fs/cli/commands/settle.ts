/**
 * `eventfs settle`: waits until no queue holds an event older than the call.
 *
 * An event is acknowledged when no queue holds it any more: its reader has unlinked it or read it
 * off its `.stream`. Inode numbers are assigned in order of arrival, to events and directories
 * alike. So a new directory's inode number divides the events: those with a smaller one are older,
 * regardless of the clock and of the events' names.
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
/**
 * How long the kernel's newest event may take to reach the daemon. If the event belongs to another
 * network namespace, its number may never arrive.
 */
const ARRIVAL_MS = 100;

/**
 * Waits until all events from before the call are acknowledged.
 *
 * @param options `timeout` in seconds
 * @throws UserError after the time-out, with the processes that lag
 */
export async function settle(options: {
  readonly timeout?: number;
  readonly mount: string;
}): Promise<void> {
  const mount = await requireMount(options.mount);
  const end = options.timeout === undefined ? Infinity : performance.now() + options.timeout * 1000;
  await untilArrived(mount);
  const call = new Call(mount);
  for (;;) {
    const lagging = call.lagging();
    if (lagging.length === 0) return;
    if (performance.now() >= end) {
      throw new UserError(
        `after ${options.timeout} s, events from before the call still wait for ${lagging.map(describe).join(', ')}`,
      );
    }
    await sleep(Math.max(0, Math.min(POLL_MS, end - performance.now())));
  }
}

/** A queue or stream that still holds older events. */
interface Lagging {
  /** The owner's PID; null for directories that this process may not read. */
  readonly pid: number | null;
  /** The directory's name or the kind of stream, one character for each byte. */
  readonly what: string;
  /** The number of events that the queue had before the command began to wait. */
  readonly count: number;
}

function describe({ pid, what, count }: Lagging): string {
  const command = pid === null ? '' : `${printable(textOf(commandOf(pid)))} (pid ${pid}), `;
  return `${command}${printable(textOf(what))}: ${count}`;
}

/** Waits until the daemon has read all events that the kernel had sent at the call. */
async function untilArrived(mount: string): Promise<void> {
  const sent = lastSent();
  // the daemon does not listen to the kernel
  if (!readStatusFile(`${mount}/log`).has('KERNEL_BUFFER')) return;
  for (let waited = 0; waited < ARRIVAL_MS; waited += POLL_MS) {
    if (Number(readStatusFile(`${mount}/log`).get('SEQNUM')) >= sent) return;
    await sleep(POLL_MS);
  }
}

/**
 * Returns the SEQNUM of the kernel's newest event. Returns Infinity where /sys is not mounted, as
 * in a container: then the caller waits for the whole time.
 */
function lastSent(): number {
  try {
    return Number(readFileSync('/sys/kernel/uevent_seqnum', 'latin1'));
  } catch (error) {
    if (isSystemError(error)) return Infinity;
    throw error;
  }
}

/** The state at the time of the call. */
class Call {
  /** Events with a smaller inode number are older. */
  readonly #mark: number;
  /** The number of events before the call. */
  readonly #passed: number;
  /** Directories without older events. An older event can return only by link(2). */
  readonly #done = new Set<string>();
  readonly #own: string;
  readonly #daemon: number;

  constructor(private readonly mount: string) {
    // Count the events before making the directory. Else an event from in between would not count
    // as new, and each stream that holds it would seem to lag.
    const status = readStatusFile(`${mount}/log`);
    this.#passed = eventsSoFar(status);
    this.#daemon = Number(status.get('DAEMON'));
    const directory = makeOwnDirectory(mount, '.settle', Filter.parse('ACTION==none-for-us'));
    this.#own = directory.slice(mount.length + 1);
    this.#mark = lstatSync(directory).ino;
  }

  /** Returns the queues and streams that still hold events from before the call. */
  lagging(): Lagging[] {
    const { readable, unreadable } = processDirectories(this.mount);
    const found = readable
      .filter(({ pid }) => this.#hasReader(pid))
      .flatMap((directory) => this.#laggingDirectory(directory));
    found.push(...this.#laggingStreams());
    if (unreadable === 0 || found.length > 0) return found;
    // The link counts in log/ are visible to every user: they show whether such a queue lags.
    const held = readdirSync(`${this.mount}/log`).filter((name) =>
      this.#isHeld(`${this.mount}/log/${name}`),
    ).length;
    return held === 0
      ? []
      : [
          {
            pid: null,
            what: 'directories that you may not read (try as root)',
            count: held,
          },
        ];
  }

  /**
   * Tells whether a living process reads the directory. Sticky directories belong to the daemon, or
   * their owner is dead: no process lags there.
   */
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
      if (!isSystemError(error)) throw error; // the directory has ended
    }
    if (count > 0) return [{ pid, what, count }];
    this.#done.add(what);
    return [];
  }

  /**
   * Returns the streams that certainly lag: more events are pending than have come since the call.
   * A stream's events have no names. A filtered stream may lag without being found.
   */
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

/** Converts a path, one character for each byte, into bytes: a name need not be UTF-8. */
function bytesOf(path: string): Buffer {
  return Buffer.from(path, 'latin1');
}

function statOf(path: string | Buffer): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (isSystemError(error)) return undefined; // a reader has taken the event
    throw error;
  }
}

function eventsSoFar(status: Status): number {
  return (['KERNEL', 'UDEV', 'PUBLISHED'] as const).reduce(
    (sum, source) => sum + Number(status.get(source)),
    0,
  );
}
