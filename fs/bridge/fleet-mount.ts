/**
 * The mount that has the events of other hosts: a directory for each host that is there, and all
 * events through `publish`, many in one write.
 */
import { closeSync, constants, mkdirSync, openSync, rmdirSync, writeSync } from 'node:fs';
import { DaemonEndedError, UserError, isSystemError } from '../shared/errors.js';
import type { Logger } from '../shared/log/logger.js';
import { MKDIR_HINTS, removeOwnDirectory, writeExisting } from '../client/own-directory.js';
import { PUBLISH_HINTS } from '../client/publish-hints.js';
import { EventStream } from '../client/events/stream.js';
import { Filter } from '../uevent/filter/filter.js';
import { EMPTY_LINE } from '../uevent/records.js';
import { tellsOfEnd } from './ended.js';
import { MountIdentity } from './mount-identity.js';
import { lossWithHost, recordWithHost } from './protocol/payload.js';

/** The most bytes that wait for the end of a batch. */
const MOST_BATCH = 512 * 1024;

/** A filter that takes overflow records only. */
const NONE = Filter.parse('ACTION==none, ACTION!=none');

/** The fleet's mount. */
export class FleetMount {
  readonly counted = { published: 0, lost: 0, refused: 0 };
  readonly #fd: number;
  readonly #identity: MountIdentity;
  /** A stream without events, which tells of the daemon's end. */
  readonly #end: EventStream;
  #waiting: Buffer[] = [];
  #bytes = 0;
  readonly #directories = new Set<string>();

  /**
   * Opens the mount's `publish`.
   *
   * @param path the mount's path
   * @param failed called if the mount's daemon ends
   * @throws UserError with the errno of open(2)
   */
  constructor(
    private readonly path: string,
    private readonly logger: Logger,
    failed: (error: unknown) => void,
  ) {
    this.#identity = new MountIdentity(path);
    try {
      this.#fd = openSync(`${path}/publish`, constants.O_WRONLY);
      this.#end = new EventStream(path, NONE, '');
    } catch (error) {
      if (isSystemError(error)) throw UserError.from(error, `${path}/publish`, PUBLISH_HINTS);
      throw error;
    }
    this.#end.forEach(() => true).then((how) => how === 'ended' && failed(this.#ended()), failed);
  }

  #ended(): DaemonEndedError {
    return new DaemonEndedError(`${this.path}: its daemon has ended (mount it again)`);
  }

  /** The number of directories. */
  get directories(): number {
    return this.#directories.size;
  }

  /** @throws DaemonEndedError if the mount is unmounted */
  checkMount(): void {
    this.#identity.check();
  }

  /**
   * Makes the directory of a host. Events that are published later are in it.
   *
   * @throws DaemonEndedError if the mount is unmounted
   */
  appears(host: string): void {
    this.flush();
    this.checkMount();
    const path = `${this.path}/${host}`;
    try {
      mkdirSync(path, { mode: 0o755 });
      this.#directories.add(host);
      writeExisting(`${path}/.filter`, Buffer.from(`HOST==${host}\n`));
    } catch (error) {
      // Without its filter it would get the events of all hosts.
      if (this.#directories.delete(host)) removeOwnDirectory(path);
      this.#fails(error, path, { ...MKDIR_HINTS, EEXIST: 'end the other bridge of this mount' });
    }
  }

  /** Ends the directory of a host, whatever it holds: this process is its owner. */
  vanishes(host: string): void {
    this.flush();
    if (!this.#directories.delete(host)) return;
    const path = `${this.path}/${host}`;
    try {
      rmdirSync(path);
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) this.#fails(error, path);
    }
  }

  /** Publishes an event of a host with the next batch. */
  event(host: string, text: Buffer): void {
    const record = recordWithHost(text, host);
    if (record !== null) this.#put(record, 1);
    else this.lost(host, 1);
  }

  /** Publishes a loss with the next batch. */
  lost(host: string, count: number): void {
    this.counted.lost += count;
    this.#put(lossWithHost(count, host), 0);
  }

  #put(record: Buffer, events: number): void {
    this.counted.published += events;
    this.#waiting.push(record);
    this.#bytes += record.length;
    if (this.#bytes >= MOST_BATCH) this.flush();
  }

  /**
   * Publishes all events that wait.
   *
   * @throws DaemonEndedError if the mount's daemon has ended
   */
  flush(): void {
    if (this.#waiting.length === 0) return;
    let rest = this.#waiting.length === 1 ? this.#waiting[0] : Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#bytes = 0;
    while (rest.length > 0) rest = rest.subarray(this.#writeSome(rest));
  }

  /** Writes once. @returns how many bytes are done with: a refused record is left out */
  #writeSome(bytes: Buffer): number {
    try {
      return writeSync(this.#fd, bytes);
    } catch (error) {
      if (isSystemError(error, 'EINTR') || isSystemError(error, 'EAGAIN')) return 0;
      this.counted.refused++;
      this.#fails(error, `${this.path}/publish`, PUBLISH_HINTS);
      const end = bytes.indexOf(EMPTY_LINE);
      return end < 0 ? bytes.length : end + EMPTY_LINE.length;
    }
  }

  /** @throws DaemonEndedError if the daemon has ended; logs any other failure */
  #fails(error: unknown, subject: string, hints: Readonly<Record<string, string>> = {}): void {
    if (!isSystemError(error)) throw error;
    if (tellsOfEnd(error)) throw this.#ended();
    this.logger.warn(UserError.from(error, subject, hints).message);
  }

  /** Closes `publish`, and removes the directories. */
  close(): void {
    this.#end.close();
    try {
      for (const host of [...this.#directories]) this.vanishes(host);
    } catch {
      // The daemon has ended, and the directories with it.
    }
    closeSync(this.#fd);
  }
}
