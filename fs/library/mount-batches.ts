/** The events of a mount: a stream that the daemon filters, read in a thread of its own. */
import { constants } from 'node:fs';
import { tellsOfEnd } from '../client/ended.js';
import { canShare, sharedStream } from '../client/events/stream.js';
import { type EventText, records } from '../client/events/text.js';
import { MKDIR_HINTS, WRITE_HINTS } from '../client/own-directory.js';
import { isSystemError } from '../shared/errors.js';
import type { Filter as ParsedFilter } from '../uevent/filter/filter.js';
import { EventfsError, refused } from './errors.js';
import { daemonEnded, findMount, inTime, startThread } from './mounted.js';
import type { EventBatches } from './subscription.js';

/** The most bytes of one read: several events of the largest size. */
const READ_BYTES = 256 * 1024;

const OPEN_HINTS = {
  EACCES: 'you may not read this mount: ask root to chmod it',
  EDQUOT: 'a quota is used up: eventfs doctor names it',
  EFBIG: 'the filter is longer than the daemon allows: shorten it, or raise [filter] text',
  EINVAL: 'the daemon refuses the filter: it has too many terms, or the daemon is older',
  ENFILE: 'the daemon is at its limit of open files: eventfs doctor says how to raise it',
};

/** The number of the next process directory, so that no two of this process have one name. */
let serial = 0;

/** A stream of a mount, or of an own process directory for earlier events. */
export class MountBatches implements EventBatches {
  readonly #thread = startThread();
  #path: string;
  #fd = -1;
  /** The own process directory, which `close` removes. */
  #own: Buffer | null = null;
  #isClosed = false;

  /**
   * @param directory the mount, or a symlink to it
   * @param since an event's name: kept events after it come first
   * @throws SystemError if no thread can be started
   */
  constructor(
    directory: string,
    private readonly filter: ParsedFilter,
    private readonly since?: number | string,
  ) {
    this.#path = directory;
  }

  async open(): Promise<ParsedFilter | null> {
    const { filter, since } = this;
    if (filter.hasKey('SOURCE') && (since !== undefined || !canShare(filter)))
      throw new EventfsError(
        'BAD_FILTER',
        'bad filter: only match/ tells the source of an event (leave out since, and make a filter with SOURCE at most 255 bytes long, without a slash)',
      );
    this.#path = findMount(this.#path);
    return since === undefined ? this.#openShared() : this.#openOwn(since);
  }

  async #openShared(): Promise<ParsedFilter | null> {
    const { queue, rest } = sharedStream(this.filter);
    this.#fd = await this.#openFile(below(Buffer.from(this.#path), queue));
    return rest;
  }

  async #openOwn(since: number | string): Promise<ParsedFilter | null> {
    const own = await this.#makeDirectory();
    if (!this.filter.all) await this.#write(own, '.filter', `${this.filter.text}\n`);
    await this.#write(own, '.since', `${since}\n`);
    this.#fd = await this.#openFile(below(own, '.stream'));
    // An event that came before the filter was written may be of any kind.
    return this.filter;
  }

  /** Makes a process directory. `close` removes it, also if the answer comes after that. */
  async #makeDirectory(): Promise<Buffer> {
    const wanted = `${this.#path}/${process.pid}.subscribe`;
    for (;;) {
      const path = Buffer.from(serial === 0 ? wanted : `${wanted}.${serial}`);
      serial++;
      this.#own = path;
      try {
        await inTime(this.#thread.mkdir(path, 0o700), this.#path);
        return path;
      } catch (error) {
        if (isSystemError(error)) this.#own = null;
        if (!isSystemError(error, 'EEXIST')) throw this.#error(error, path, MKDIR_HINTS);
      }
    }
  }

  /** Writes once, and never creates the file: a file made in a process directory is an event. */
  async #write(own: Buffer, name: string, text: string): Promise<void> {
    const path = below(own, name);
    const { O_WRONLY, O_NOFOLLOW } = constants;
    try {
      const fd = await inTime(this.#thread.open(path, O_WRONLY | O_NOFOLLOW), this.#path);
      await inTime(this.#thread.write(fd, Buffer.from(text, 'latin1')), this.#path);
      await this.#thread.release(fd);
    } catch (error) {
      throw this.#error(error, path, WRITE_HINTS);
    }
  }

  async #openFile(path: Buffer): Promise<number> {
    const { O_RDONLY, O_NONBLOCK } = constants;
    try {
      return await inTime(this.#thread.open(path, O_RDONLY | O_NONBLOCK), this.#path);
    } catch (error) {
      throw this.#error(error, path, OPEN_HINTS);
    }
  }

  async take(): Promise<Iterable<EventText>> {
    let bytes: Buffer;
    try {
      bytes = await this.#thread.read(this.#fd, READ_BYTES);
    } catch (error) {
      throw this.#error(error, Buffer.from(this.#path));
    }
    if (bytes.length === 0) throw daemonEnded(this.#path);
    return records(bytes);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const ends: Promise<unknown>[] = [];
    if (this.#fd >= 0) ends.push(this.#thread.release(this.#fd));
    if (this.#own !== null) ends.push(this.#thread.rmdir(this.#own));
    this.#thread.close();
    await inTime(Promise.allSettled(ends), this.#path).catch(() => undefined);
  }

  #error(error: unknown, path: Buffer, hints?: Readonly<Record<string, string>>): unknown {
    if (!isSystemError(error)) return error;
    return tellsOfEnd(error) ? daemonEnded(this.#path) : refused(error, path.toString(), hints);
  }
}

function below(directory: Buffer, name: string): Buffer {
  return Buffer.concat([directory, Buffer.from(`/${name}`, 'latin1')]);
}
