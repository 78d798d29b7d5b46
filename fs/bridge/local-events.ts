/**
 * The events of the local mount that pass the filter, in a process directory of the bridge: its
 * queue counts each of them that it loses.
 *
 * A place in the events is the name of an event and the number of the last event of the filter that
 * came up to it. `log/tail` is such a name at a moment when the queue is empty before and after.
 */
import { closeSync, constants, openSync, read, statSync } from 'node:fs';
import { readFile, readlink, rmdir } from 'node:fs/promises';
import { daemonEnded, tellsOfEnd } from '../client/ended.js';
import { makeOwnDirectory } from '../client/own-directory.js';
import { parseStatus } from '../client/status.js';
import { lostOf, parseEvent, tellsOfLoss } from '../client/events/text.js';
import { dropOthers } from '../client/events/files.js';
import { type DaemonEndedError, isSystemError } from '../shared/errors.js';
import { inTime } from '../shared/in-time.js';
import { MountIdentity } from './mount-identity.js';
import type { Filter } from '../uevent/filter/filter.js';
import { isLossRecord, recordEnd, skipLineEnds } from '../uevent/records.js';

const READ_BYTES = 1024 * 1024;
/** How long the daemon may take for an answer, in ms. */
const ANSWER_MS = 1000;

/** The receiver of the events. */
interface LocalSink {
  /** @param record with its empty line; @param weight the number of events that it stands for */
  add(record: Buffer, weight: number): void;
  /** Called when all events of one read are added. */
  settled(): void;
  /** Called when the mount's daemon has ended, or reading fails. */
  failed(error: Error): void;
}

/** The local mount's events. */
export class LocalEvents {
  readonly #identity: MountIdentity;
  readonly #directory: string;
  readonly #fd: number;
  #isClosed = false;
  readonly #buffer = Buffer.alloc(READ_BYTES);
  /** Whether the daemon owes an answer: no other call waits for it in another thread. */
  #isAsking = false;
  /** The filter for events that came before the directory had it; null if it takes all. */
  readonly #filter: Filter | null;

  /**
   * Makes the process directory, and reads it until {@link close}.
   *
   * @param mount the mount's path
   * @param since the name of an event: kept events after it come first
   * @throws UserError if the daemon refuses
   */
  constructor(
    private readonly mount: string,
    filter: Filter,
    private readonly sink: LocalSink,
    since?: string,
  ) {
    this.#identity = new MountIdentity(mount);
    this.#directory = makeOwnDirectory(mount, '.bridge', filter, since);
    const knowsSource = filter.hasKey('SOURCE');
    if (knowsSource) dropOthers(this.#directory, filter);
    this.#filter = filter.all || knowsSource ? null : filter;
    const path = `${this.#directory}/.stream`;
    this.#fd = openSync(path, constants.O_RDONLY);
    this.#next();
  }

  /** Reads once more, in a thread: a blocked read is answered with the event itself. */
  #next(): void {
    read(this.#fd, this.#buffer, 0, READ_BYTES, null, (error, length) => {
      if (this.#isClosed) return closeSync(this.#fd);
      try {
        if (error === null) this.#take(length);
        else if (!isSystemError(error, 'EINTR')) throw this.#failure(error);
      } catch (failure) {
        closeSync(this.#fd);
        this.#isClosed = true;
        return this.sink.failed(failure instanceof Error ? failure : new Error(String(failure)));
      }
      this.#next();
    });
  }

  #failure(error: unknown): unknown {
    return tellsOfEnd(error) ? this.#ended() : error;
  }

  #ended(): DaemonEndedError {
    return daemonEnded(this.mount, 'mount it again');
  }

  #take(length: number): void {
    if (length === 0) throw this.#ended();
    const bytes = Buffer.from(this.#buffer.subarray(0, length));
    for (let at = 0; at < length;) {
      const found = recordEnd(bytes, at);
      const end = found < 0 ? length : skipLineEnds(bytes, found);
      this.#add(bytes.subarray(at, end));
      at = end;
    }
    this.sink.settled();
  }

  #add(record: Buffer): void {
    if (!isLossRecord(record) && this.#filter === null) return this.sink.add(record, 1);
    const event = parseEvent(record.toString('latin1'));
    if (tellsOfLoss(event)) this.sink.add(record, lostOf(event));
    else if (this.#filter === null || this.#filter.matches(event)) this.sink.add(record, 1);
  }

  /**
   * Returns the name of an event up to which all events were added, and no later one, if no event
   * is added before the result is there; null if events come at this moment, or the daemon does not
   * answer in time. A read that waits has been begun after all earlier events were added.
   */
  async place(): Promise<string | null> {
    return (await this.#ask(() => this.#readPlace())) ?? null;
  }

  async #readPlace(): Promise<string | null> {
    try {
      const name = await readlink(`${this.mount}/log/tail`);
      const status = parseStatus(await readFile(`${this.#directory}/.status`, 'utf8'));
      return status.get('WAITING') === '1' && status.get('PENDING') === '0' ? name : null;
    } catch (error) {
      // ENOENT: no event has come yet.
      if (!isSystemError(error)) throw error;
      return null;
    }
  }

  /** @throws DaemonEndedError if the mount is unmounted */
  async check(): Promise<void> {
    await this.#ask(() => this.#identity.check());
  }

  /** Makes a call unless an earlier one waits. @returns undefined if it takes too long */
  async #ask<Result>(call: () => Promise<Result>): Promise<Result | undefined> {
    if (this.#isClosed || this.#isAsking) return undefined;
    this.#isAsking = true;
    return inTime(
      call().finally(() => (this.#isAsking = false)),
      ANSWER_MS,
    );
  }

  /**
   * Ends the reading, and removes the directory: a read that waits ends with it.
   *
   * @returns false if the daemon does not answer: a thread of this process waits for it
   */
  async close(): Promise<boolean> {
    if (this.#isClosed) return true;
    this.#isClosed = true;
    if (this.#isAsking) return false;
    const removed = rmdir(this.#directory).catch(() => undefined);
    return (
      (await inTime(
        removed.then(() => true),
        ANSWER_MS,
      )) ?? false
    );
  }
}

/**
 * Returns a text that tells a mount from every other one. The daemon that goes on with the mount of
 * a dead one knows its events, and hands on the time of `publish`.
 */
export function identityOf(mount: string): string {
  const { dev, mtimeMs } = statSync(`${mount}/publish`);
  return `${dev} ${mtimeMs}`;
}
