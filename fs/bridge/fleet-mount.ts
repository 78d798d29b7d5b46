/**
 * The mount that has the events of other hosts: a directory for each host that is there, and all
 * events through `publish`, many in one write.
 *
 * A call waits as long as the mount's daemon does not answer. So each runs in a thread, one after
 * the other, and the calls behind it wait here, in bounds (MountWork).
 */
import { CallThread } from '#native';
import { closeSync, constants, openSync } from 'node:fs';
import { lstat, mkdir, readdir, rmdir, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DaemonEndedError, UserError, isSystemError } from '../shared/errors.js';
import type { Logger } from '../shared/log/logger.js';
import { daemonEnded, tellsOfEnd } from '../client/ended.js';
import { MKDIR_HINTS } from '../client/own-directory.js';
import { PUBLISH_HINTS } from '../client/publish-hints.js';
import { EventStream } from '../client/events/stream.js';
import { parseEvent, tellsOfLoss } from '../client/events/text.js';
import { Filter } from '../uevent/filter/filter.js';
import { EMPTY_LINE } from '../uevent/records.js';
import { inTime } from '../shared/in-time.js';
import { MountIdentity } from './mount-identity.js';
import { MountWork } from './mount-work.js';
import { lossWithHost, recordWithHost } from './protocol/payload.js';

/** A filter that takes overflow records only. */
const NONE = Filter.parse('ACTION==none, ACTION!=none');
/** How long the daemon may take for the last calls, in ms. */
const END_MS = 2000;
/** A call that takes longer is one to a daemon that hangs, in ms. */
const HANG_MS = 1000;
/** How long a write waits that the daemon has no room for now, in ms. */
const AGAIN_MS = 10;

/** The fleet's mount. */
export class FleetMount {
  readonly counted = { published: 0, lost: 0, refused: 0 };
  readonly #fd: number;
  /** Writes: libuv's threads would hold each other up by the lock of their queue. */
  readonly #writer: CallThread;
  readonly #identity: MountIdentity;
  /** A stream without events, which tells of the daemon's end. */
  readonly #end: EventStream;
  readonly #work: MountWork;
  /** The hosts whose directory is there, and is of this process. */
  readonly #made = new Set<string>();
  /** The hosts whose directory the mount has refused, as the log says. */
  readonly #refused = new Set<string>();
  #isHung = false;
  #isClosed = false;

  /**
   * Opens the mount's `publish`.
   *
   * @param path the mount's path
   * @param failed called if the mount's daemon ends
   * @param ready called when {@link isFull} is false again
   * @throws UserError with the errno of open(2)
   */
  constructor(
    private readonly path: string,
    private readonly logger: Logger,
    failed: (error: unknown) => void,
    ready: () => void,
  ) {
    this.#identity = new MountIdentity(path);
    try {
      this.#fd = openSync(`${path}/publish`, constants.O_WRONLY);
      this.#end = new EventStream(path, NONE, '');
    } catch (error) {
      if (isSystemError(error)) throw UserError.from(error, `${path}/publish`, PUBLISH_HINTS);
      throw error;
    }
    this.#writer = new CallThread();
    const calls = {
      write: (records: Buffer[]) => this.#write(records),
      appears: (host: string) => this.#makeDirectory(host),
      vanishes: (host: string) => this.#removeDirectory(host),
    };
    this.#work = new MountWork(calls, ready, (error) => !this.#isClosed && failed(error));
    this.#end.forEach(() => true).then((how) => how === 'ended' && failed(this.#ended()), failed);
  }

  #ended(): DaemonEndedError {
    return daemonEnded(this.path, 'mount it again');
  }

  /** Whether so much waits for the daemon that no more events should come. */
  get isBusy(): boolean {
    return this.#work.isBusy;
  }

  /** Whether events that come now are to be dropped, and asked for later. */
  get isFull(): boolean {
    return this.#work.isFull;
  }

  /**
   * Looks whether the mount is there and answers, and makes the directories that it has refused, or
   * that another process has removed. To be called now and then.
   */
  check(): void {
    this.#sayHung(this.#work.ageMs(performance.now()) > HANG_MS);
    if (this.#isHung) return;
    this.#work.look(() => this.#look());
  }

  async #look(): Promise<void> {
    await this.#identity.check();
    await this.#findRemoved();
    this.#work.repeat((host) => this.#made.has(host));
  }

  /** Finds directories that another process has removed. */
  async #findRemoved(): Promise<void> {
    try {
      const names = new Set(await readdir(this.path));
      for (const host of this.#made)
        if (!names.has(host) && !(await isThere(`${this.path}/${host}`))) this.#made.delete(host);
    } catch (error) {
      this.#fails(error, this.path);
    }
  }

  #sayHung(isHung: boolean): void {
    if (isHung && !this.#isHung)
      this.logger.warn(
        `${this.path}: its daemon does not answer; events wait (eventfs doctor names the reason)`,
      );
    if (!isHung && this.#isHung) this.logger.info(`${this.path}: its daemon answers again`);
    this.#isHung = isHung;
  }

  /** Makes the directory of a host. Events that are published later are in it. */
  appears(host: string): void {
    this.#work.change(host, true);
  }

  /** Ends the directory of a host, whatever it holds: this process is its owner. */
  vanishes(host: string): void {
    this.#work.change(host, false);
  }

  async #makeDirectory(host: string): Promise<void> {
    await this.#identity.check();
    const path = `${this.path}/${host}`;
    let isMade = false;
    try {
      await mkdir(path, { mode: 0o755 });
      isMade = true;
      const flag = constants.O_WRONLY | constants.O_NOFOLLOW;
      await writeFile(`${path}/.filter`, `HOST==${host}\n`, { flag });
      this.#made.add(host);
      this.#refused.delete(host);
    } catch (error) {
      // Without its filter it would get the events of all hosts.
      if (isMade) await rmdir(path).catch(() => undefined);
      const isKnown = this.#refused.has(host);
      this.#refused.add(host);
      if (isKnown && isSystemError(error) && !tellsOfEnd(error)) return;
      this.#fails(error, path, { ...MKDIR_HINTS, EEXIST: 'end the other bridge of this mount' });
    }
  }

  /** Removes the directory of a host, unless another process has made it. */
  async #removeDirectory(host: string): Promise<void> {
    this.#refused.delete(host);
    if (!this.#made.delete(host)) return;
    const path = `${this.path}/${host}`;
    try {
      await rmdir(path);
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) this.#fails(error, path);
    }
  }

  /** Publishes an event of a host with the next batch. */
  event(host: string, text: Buffer): void {
    const record = recordWithHost(text, host);
    if (record === null) return this.lost(host, 1);
    this.counted.published++;
    this.#work.put(host, record);
  }

  /** Publishes a loss with the next batch. */
  lost(host: string, count: number): void {
    this.counted.lost += count;
    this.#work.lost(host, count);
  }

  /** Publishes all events that wait, without blocking. */
  flush(): void {
    this.#work.start();
  }

  async #write(records: Buffer[]): Promise<void> {
    let rest = records.length === 1 ? records[0] : Buffer.concat(records);
    while (rest.length > 0) rest = rest.subarray(await this.#writeSome(rest));
  }

  /** Writes once. @returns how many bytes are done with: a refused record is left out */
  async #writeSome(bytes: Buffer): Promise<number> {
    try {
      return await this.#writer.write(this.#fd, bytes);
    } catch (error) {
      if (isSystemError(error, 'EINTR')) return 0;
      if (isSystemError(error, 'EAGAIN')) return sleep(AGAIN_MS, 0);
      this.counted.refused++;
      this.#fails(error, `${this.path}/publish`, PUBLISH_HINTS);
      const end = bytes.indexOf(EMPTY_LINE);
      const length = end < 0 ? bytes.length : end + EMPTY_LINE.length;
      await this.#tellRefused(bytes.subarray(0, length));
      return length;
    }
  }

  /** Publishes the loss of an event that the mount has refused. */
  async #tellRefused(record: Buffer): Promise<void> {
    const event = parseEvent(record.toString('latin1'));
    const host = event.property('HOST');
    if (host === undefined || tellsOfLoss(event)) return;
    this.counted.lost++;
    // A mount that refuses this too refuses all: the next write logs it.
    await this.#writer.write(this.#fd, lossWithHost(1, host)).catch(() => undefined);
  }

  /** @throws DaemonEndedError if the daemon has ended; logs any other failure */
  #fails(error: unknown, subject: string, hints: Readonly<Record<string, string>> = {}): void {
    if (!isSystemError(error)) throw error;
    if (tellsOfEnd(error)) throw this.#ended();
    this.logger.warn(UserError.from(error, subject, hints).message);
  }

  /**
   * Publishes the last events, removes the directories, and closes `publish`.
   *
   * @returns false if the daemon does not answer: a thread of this process waits for it
   */
  async close(): Promise<boolean> {
    this.#isClosed = true;
    const isDone = await inTime(this.#work.finish(), END_MS);
    this.#writer.close();
    if (isDone === undefined) return false;
    this.#end.close();
    closeSync(this.#fd);
    return true;
  }
}

/** @throws SystemError with another errno than ENOENT */
async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return false;
    throw error;
  }
}
