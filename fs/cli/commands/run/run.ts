/** `eventfs run`: runs a command for each event. */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  accessSync,
  closeSync,
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
import { delimiter, join } from 'node:path';
import { ReadableWatch } from '#native';
import { type SeqNum, overflowText } from '../../../uevent/text.js';
import { isSystemError } from '../../../shared/errors.js';
import type { Filter } from '../../../uevent/filter/filter.js';
import { eventNames, eventPath, openUnfollowed, readEvent } from '../../../client/event-files.js';
import {
  type EventText,
  parseEvent,
  parseFilter,
  tellsOfLoss,
} from '../../../client/event-text.js';
import { requireMount } from '../../../client/mounted.js';
import { printable } from '../../terminal/output.js';
import { makeOwnDirectory } from '../../../client/own-directory.js';
import { environmentFor } from './run-environment.js';
import { type Job, RunOrder } from './run-order.js';
import { readStatusFile } from '../../../client/status.js';
import { ExitCode } from '../../terminal/explain.js';

/** The most events to hold in search of one that may run. All others wait in the filesystem. */
const MOST_TAKEN = 256;
/** The most bytes of their text: far less than a queue holds. */
const MOST_TAKEN_BYTES = 1024 * 1024;
/** The time between SIGTERM and SIGKILL. */
const GRACE_MS = 2000;

/** The options of `eventfs run`. */
export interface RunOptions {
  readonly jobs: number;
  /** In seconds. */
  readonly timeout?: number;
  readonly since?: SeqNum;
  readonly mount: string;
}

/**
 * Runs a command for each matching event until SIGTERM, SIGINT or the daemon's end.
 *
 * @param filterText the events to choose, as a filter
 * @param command the program and its arguments
 * @throws UserError if the filter is invalid, or eventfs is not mounted there
 */
export async function run(
  filterText: string,
  command: readonly string[],
  options: RunOptions,
): Promise<void> {
  const filter = parseFilter(filterText);
  const missing = whyNot(command[0]);
  if (missing !== null) {
    console.error(`eventfs: run: ${command[0]}: ${missing.why}`);
    process.exitCode = missing.code;
    return;
  }
  const runner = new Runner(await requireMount(options.mount), filter, command, options);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => runner.stop());
  await runner.ended;
}

/** An event that this process holds: a file of the directory `taken` until its command ends. */
interface EventJob extends Job {
  /** One byte a character. */
  readonly name: string;
  readonly event: EventText;
}

/**
 * Takes events and runs their commands. It uses two directories: events arrive and wait in `queue`.
 * The runner moves a few at a time to `taken` (rename(2)), and unlinks each when its command ends.
 * So each unfinished event is in a queue, where `eventfs settle` sees it, and the filesystem bounds
 * the waiting events.
 */
class Runner {
  readonly ended: Promise<void>;
  #end!: () => void;
  readonly #queue: string;
  readonly #taken: string;
  readonly #order: RunOrder<EventJob>;
  readonly #children = new Map<EventJob, ChildProcess>();
  /** Readable while an event waits in `queue`. */
  readonly #stream: number;
  #watch: ReadableWatch | null = null;
  #takenBytes = 0;
  /** How many events `taken` may hold. */
  #mostEvents = Infinity;
  #lost = 0;
  #losses = 0;
  #isStopping = false;

  constructor(
    mount: string,
    private readonly filter: Filter,
    private readonly command: readonly string[],
    private readonly options: RunOptions,
  ) {
    this.ended = new Promise((done) => (this.#end = done));
    this.#order = new RunOrder(options.jobs);
    this.#queue = makeOwnDirectory(mount, '.run', filter, options.since);
    this.#taken = `${this.#queue}.taken`;
    mkdirSync(this.#taken, { mode: 0o700 });
    writeFileSync(`${this.#taken}/.filter`, 'ACTION==none-but-those-that-are-moved-here\n');
    for (const name of readdirSync(this.#taken)) unlinkSync(`${this.#taken}/${name}`);
    this.#stream = openSync(`${this.#queue}/.stream`, constants.O_RDONLY | constants.O_NONBLOCK);
    this.#lookOut();
  }

  /**
   * Takes no more events, and ends when all running commands have ended. The second call sends them
   * SIGTERM.
   */
  stop(): void {
    if (this.#isStopping) for (const child of this.#children.values()) killGroup(child, 'SIGTERM');
    this.#isStopping = true;
    this.#lookAway();
    this.#order.forgetWaiting();
    this.#endIfDone();
  }

  #lookOut(): void {
    this.#watch ??= new ReadableWatch(this.#stream, () => this.#take());
  }

  #lookAway(): void {
    this.#watch?.close();
    this.#watch = null;
  }

  /** Takes waiting events. Also called when the daemon has ended. */
  #take(): void {
    try {
      this.#tellLoss();
      for (const name of eventNames(this.#queue, this.#room)) {
        if (this.#takenBytes >= MOST_TAKEN_BYTES) break;
        this.#takeOne(name);
      }
    } catch (error) {
      if (!isSystemError(error)) throw error;
      if (!this.#isStopping) console.error('eventfs: run: the daemon has ended');
      return this.stop();
    }
    if (this.#room <= 0 || this.#takenBytes >= MOST_TAKEN_BYTES) this.#lookAway();
    this.#begin();
  }

  #takeOne(name: string): void {
    const path = eventPath(this.#taken, name);
    try {
      renameSync(eventPath(this.#queue, name), path);
    } catch (error) {
      // the queue was full and has dropped the event
      if (isSystemError(error, 'ENOENT') && statSync(this.#queue).isDirectory()) return;
      throw error;
    }
    const text = readEvent(path);
    const event = text === null ? null : parseEvent(text);
    // The event is older than the filter, or its name was given to another file since the listing.
    if (event === null || (!tellsOfLoss(event) && !this.filter.matches(event))) unlinkSync(path);
    else this.#add(name, event);
  }

  /**
   * How many more events may be taken. One place stays free for a loss record. An event beyond the
   * bound would push the oldest out of `taken`.
   */
  get #room(): number {
    const { waiting, running } = this.#order;
    return Math.min(
      MOST_TAKEN - waiting,
      Math.max(1, this.#mostEvents - 1) - waiting - running.size,
    );
  }

  /** Turns losses of the two queues into an event like any other. */
  #tellLoss(): void {
    const [queue, taken] = [readStatusFile(this.#queue), readStatusFile(this.#taken)];
    this.#mostEvents = Number(taken.get('MOST_EVENTS'));
    const lost = Number(queue.get('LOST')) + Number(taken.get('LOST'));
    if (lost === this.#lost) return;
    const text = Buffer.from(overflowText(lost - this.#lost)).toString('latin1');
    this.#lost = lost;
    this.#add(this.#create(text), parseEvent(text));
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

  #add(name: string, event: EventText): void {
    const old = event.property('DEVPATH_OLD');
    this.#takenBytes += event.text.length;
    const devpaths = [event.devpath, ...(old === undefined ? [] : [old])].map((devpath) =>
      devpath.replace(/\/$/, ''),
    );
    this.#order.add({ name, event, devpaths });
  }

  #begin(): void {
    for (let job = this.#order.begin(); job !== undefined; job = this.#order.begin())
      this.#start(job);
    // Each #take lists all waiting events: don't watch until several can be taken.
    const { waiting } = this.#order;
    if (
      !this.#isStopping &&
      waiting <= MOST_TAKEN / 2 &&
      this.#room > 0 &&
      this.#takenBytes < MOST_TAKEN_BYTES
    )
      this.#lookOut();
  }

  /**
   * Opens an event's file; returns null if that fails. ENOENT means that `taken` was full and has
   * dropped the event.
   */
  #openEvent({ name }: EventJob): number | null {
    try {
      return openUnfollowed(eventPath(this.#taken, name));
    } catch (error) {
      if (!isSystemError(error)) throw error;
      if (error.code === 'ENOENT' && existsSync(this.#taken)) this.#tellLoss();
      return null; // any other error: the daemon has ended, and #take will notice
    }
  }

  #start(job: EventJob): void {
    const stdin = this.#openEvent(job);
    if (stdin === null) return this.#forget(job);
    const child = spawn(this.command[0], this.command.slice(1), {
      stdio: [stdin, 'inherit', 'inherit'],
      env: environmentFor(job.event, process.env),
      detached: true, // a process group of its own, which the time-out ends as a whole
    });
    closeSync(stdin);
    this.#children.set(job, child);
    const late = this.#limit(child, job);
    child.once('error', (error) => {
      this.#complain(job, error.message);
      this.#done(job, late);
    });
    child.once('exit', (code, signal) => {
      if (code !== 0)
        this.#complain(job, signal === null ? `exit code ${code}` : `ended by ${signal}`);
      this.#done(job, late);
    });
  }

  #limit(child: ChildProcess, job: EventJob): NodeJS.Timeout[] {
    const { timeout } = this.options;
    if (timeout === undefined) return [];
    const terminate = (): void => {
      this.#complain(job, `not done after ${timeout} s`);
      killGroup(child, 'SIGTERM');
    };
    return [
      setTimeout(terminate, timeout * 1000),
      setTimeout(() => killGroup(child, 'SIGKILL'), timeout * 1000 + GRACE_MS),
    ];
  }

  #done(job: EventJob, late: readonly NodeJS.Timeout[]): void {
    for (const timer of late) clearTimeout(timer);
    if (!this.#children.delete(job)) return;
    this.#forget(job);
    try {
      unlinkSync(eventPath(this.#taken, job.name));
    } catch (error) {
      if (!isSystemError(error)) throw error; // the daemon has ended
    }
    this.#begin();
    this.#endIfDone();
  }

  #forget(job: EventJob): void {
    this.#order.end(job);
    this.#takenBytes -= job.event.text.length;
  }

  #endIfDone(): void {
    if (!this.#isStopping || this.#children.size > 0) return;
    closeSync(this.#stream);
    this.#end();
    // listeners for signals would keep the process alive
    for (const signal of ['SIGTERM', 'SIGINT']) process.removeAllListeners(signal);
  }

  #complain({ name, event }: EventJob, what: string): void {
    console.error(
      `eventfs: run: ${this.command[0]} for ${printable(event.action)} ${printable(event.devpath)} (${printable(name)}): ${what}`,
    );
  }
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // ESRCH: all processes of the group have ended
  }
}

/** Returns why a command can't be run, or null: the user learns it before the first event. */
function whyNot(command: string): { why: string; code: number } | null {
  const places = command.includes('/')
    ? [command]
    : (process.env.PATH ?? '').split(delimiter).map((directory) => join(directory, command));
  let found = false;
  for (const place of places) {
    try {
      if (!statSync(place).isFile()) continue;
      found = true;
      accessSync(place, constants.X_OK);
      return null;
    } catch {
      continue;
    }
  }
  return found
    ? { why: 'Permission denied', code: ExitCode.notRun }
    : { why: 'No such file or directory', code: ExitCode.notFound };
}
