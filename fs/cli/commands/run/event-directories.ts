/** The process directories in which `eventfs run` keeps its events. */
import {
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import {
  eventNames,
  eventPath,
  openUnfollowed,
  readEventFor,
} from '../../../client/events/files.js';
import { type EventText, parseEvent } from '../../../client/events/text.js';
import { makeOwnDirectory } from '../../../client/own-directory.js';
import { readStatusFile } from '../../../client/status.js';
import { isSystemError } from '../../../shared/errors.js';
import type { Filter } from '../../../uevent/filter/filter.js';
import { overflowText } from '../../../uevent/text.js';

/** An event that this process holds: a file of the directory `taken`. */
export interface TakenEvent {
  /** The file's name, one character for each byte. */
  readonly name: string;
  readonly event: EventText;
}

/**
 * Two directories: events arrive and wait in `queue`. {@link take} moves one to `taken`
 * (rename(2)), and {@link remove} unlinks it when its command has ended. So each unfinished event
 * is in a queue, where `eventfs settle` sees it, and the filesystem bounds the waiting events.
 *
 * After the daemon's end each method throws a SystemError.
 */
export class EventDirectories {
  /** A descriptor that is readable while an event waits in `queue`. */
  readonly stream: number;
  /** How many events `taken` may hold, as of the last {@link takeLoss}. */
  mostTaken = Infinity;
  readonly #queue: string;
  readonly #taken: string;
  /** How many events have been reported as lost. */
  #lost = 0;
  /** How many loss records have been made. */
  #losses = 0;

  /**
   * Makes the directories.
   *
   * @param mount the mount's path
   * @param since an event's name: the queue begins with the kept events after it
   * @throws UserError if the daemon refuses a directory
   */
  constructor(
    mount: string,
    private readonly filter: Filter,
    since?: string,
  ) {
    this.#queue = makeOwnDirectory(mount, '.run', filter, since);
    this.#taken = `${this.#queue}.taken`;
    mkdirSync(this.#taken, { mode: 0o700 });
    writeFileSync(`${this.#taken}/.filter`, 'ACTION==none-but-those-that-are-moved-here\n');
    for (const name of readdirSync(this.#taken)) unlinkSync(`${this.#taken}/${name}`);
    this.stream = openSync(`${this.#queue}/.stream`, constants.O_RDONLY | constants.O_NONBLOCK);
  }

  /** Returns the names of the oldest waiting events, at most `most`. */
  waiting(most: number): string[] {
    return eventNames(this.#queue, most);
  }

  /**
   * Takes one waiting event.
   *
   * @param accepts tells whether the event is wanted; else it is removed
   * @returns the event; null if it is gone or not wanted
   */
  take(name: string, accepts: (event: EventText) => boolean): TakenEvent | null {
    const path = eventPath(this.#taken, name);
    try {
      renameSync(eventPath(this.#queue, name), path);
    } catch (error) {
      // the queue was full and has dropped the event
      if (isSystemError(error, 'ENOENT') && statSync(this.#queue).isDirectory()) return null;
      throw error;
    }
    const event = readEventFor(this.filter, path);
    if (event !== null && accepts(event)) return { name, event };
    unlinkSync(path);
    return null;
  }

  /**
   * Reads the counters of both directories, and makes one event of the losses since the last call.
   *
   * @returns the loss record; null if nothing was lost
   */
  takeLoss(): TakenEvent | null {
    const [queue, taken] = [readStatusFile(this.#queue), readStatusFile(this.#taken)];
    this.mostTaken = Number(taken.get('MOST_EVENTS'));
    const lost = Number(queue.get('LOST')) + Number(taken.get('LOST'));
    if (lost === this.#lost) return null;
    const text = Buffer.from(overflowText(lost - this.#lost)).toString('latin1');
    this.#lost = lost;
    return { name: this.#create(text), event: parseEvent(text) };
  }

  /** Makes a file of a loss record under a free name. @returns the name */
  #create(text: string): string {
    for (;;) {
      const name = `overflow.${++this.#losses}`;
      try {
        writeFileSync(eventPath(this.#taken, name), text, { encoding: 'latin1', flag: 'wx' });
        return name;
      } catch (error) {
        if (!isSystemError(error, 'EEXIST')) throw error;
      }
    }
  }

  /**
   * Opens the file of an event in the directory `taken`.
   *
   * @returns a descriptor for reading; null if it is no regular file
   * @throws SystemError ENOENT if `taken` was full and has dropped the event
   */
  open(name: string): number | null {
    return openUnfollowed(eventPath(this.#taken, name));
  }

  /** Tells whether the daemon still serves the directories. */
  exist(): boolean {
    return existsSync(this.#taken);
  }

  /** Removes an event that was taken: it is finished. */
  remove(name: string): void {
    unlinkSync(eventPath(this.#taken, name));
  }
}
