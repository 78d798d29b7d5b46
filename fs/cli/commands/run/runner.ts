/** Takes events, and runs a command for each. */
import { closeSync } from 'node:fs';
import { ReadableWatch } from '#native';
import { tellsOfLoss } from '../../../client/events/text.js';
import { isSystemError } from '../../../shared/errors.js';
import type { Filter } from '../../../uevent/filter/filter.js';
import { printError, textOf } from '../../terminal/output.js';
import { CommandProcess } from './command-process.js';
import type { EventDirectories, TakenEvent } from './event-directories.js';
import { environmentFor } from './run-environment.js';
import { type Job, RunOrder } from './run-order.js';

/** The most events to hold in search of one that may run. All others wait in the filesystem. */
const MOST_TAKEN = 256;
/**
 * The most bytes of event text that the runner takes off its queue in advance: far less than a
 * queue holds.
 */
const MOST_TAKEN_BYTES = 1024 * 1024;

/**
 * The signals that end run. SIGHUP is one: its commands have sessions of their own, so that a
 * terminal that closes ends none of them, and only run knows their time limits.
 */
export const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** The command to run, and the events to run it for. */
interface RunnerOptions {
  /** The events to choose. */
  readonly filter: Filter;
  /** The program and its arguments. */
  readonly command: readonly string[];
  /** How many commands may run at a time. */
  readonly jobs: number;
  /** The most seconds of one command. */
  readonly timeout?: number | undefined;
}

/** An event that this process holds until its command ends. */
type EventJob = Job & TakenEvent;

/** Watches for events and runs their commands, until {@link stop} or the daemon's end. */
export class Runner {
  /** Resolves when all commands have ended after {@link stop}. */
  readonly ended: Promise<void>;
  /** Whether the daemon's end is the reason to stop. */
  hasLostDaemon = false;
  #end!: () => void;
  readonly #order: RunOrder<EventJob>;
  readonly #running = new Map<EventJob, CommandProcess>();
  #watch: ReadableWatch | null = null;
  #takenBytes = 0;
  #isStopping = false;

  constructor(
    private readonly directories: EventDirectories,
    private readonly options: RunnerOptions,
  ) {
    this.ended = new Promise((done) => (this.#end = done));
    this.#order = new RunOrder(options.jobs);
    this.#lookOut();
  }

  /**
   * Takes no more events, and ends when all running commands have ended. The second call ends them.
   */
  stop(): void {
    if (this.#isStopping) for (const command of this.#running.values()) command.terminate();
    this.#isStopping = true;
    this.#lookAway();
    this.#order.forgetWaiting();
    this.#endIfDone();
  }

  #lookOut(): void {
    this.#watch ??= new ReadableWatch(this.directories.stream, () => this.#take());
  }

  #lookAway(): void {
    this.#watch?.close();
    this.#watch = null;
  }

  /** Takes waiting events. Also called when the daemon has ended. */
  #take(): void {
    try {
      this.#takeLoss();
      for (const name of this.directories.waiting(this.#room)) {
        if (this.#takenBytes >= MOST_TAKEN_BYTES) break;
        // An event may be older than the filter, or another file may have got its name since.
        const taken = this.directories.take(
          name,
          (event) => tellsOfLoss(event) || this.options.filter.matches(event),
        );
        if (taken !== null) this.#add(taken);
      }
    } catch (error) {
      if (!isSystemError(error)) throw error;
      if (!this.#isStopping) {
        this.hasLostDaemon = true;
        printError('run: the daemon has ended (try eventfs doctor)');
      }
      return this.stop();
    }
    if (this.#room <= 0 || this.#takenBytes >= MOST_TAKEN_BYTES) this.#lookAway();
    this.#begin();
  }

  /**
   * How many more events may be taken. One place stays free for a loss record. An event beyond the
   * bound would push the oldest out of `taken`.
   */
  get #room(): number {
    const { waiting, running } = this.#order;
    return Math.min(
      MOST_TAKEN - waiting,
      Math.max(1, this.directories.mostTaken - 1) - waiting - running.size,
    );
  }

  /** Turns losses into an event like any other. */
  #takeLoss(): void {
    const loss = this.directories.takeLoss();
    if (loss !== null) this.#add(loss);
  }

  #add({ name, event }: TakenEvent): void {
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

  #start(job: EventJob): void {
    const stdin = this.#openEvent(job);
    if (stdin === null) return this.#forget(job);
    const { command, timeout } = this.options;
    const running = new CommandProcess({
      command,
      stdin,
      environment: environmentFor(job.event, process.env),
      timeout,
      onTimeout: () => this.#report(job, `still running after ${timeout} s (--timeout): ending it`),
      onEnd: (failure) => {
        if (failure !== null) this.#report(job, failure);
        this.#done(job);
      },
    });
    closeSync(stdin);
    this.#running.set(job, running);
  }

  /** Opens an event's file; returns null if that fails. */
  #openEvent({ name }: EventJob): number | null {
    try {
      return this.directories.open(name);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      // ENOENT: the directory was full and has dropped the event
      if (error.code === 'ENOENT' && this.directories.exist()) this.#takeLoss();
      return null; // any other error: the daemon has ended, and #take will notice
    }
  }

  #done(job: EventJob): void {
    this.#running.delete(job);
    this.#forget(job);
    try {
      this.directories.remove(job.name);
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
    if (!this.#isStopping || this.#running.size > 0) return;
    closeSync(this.directories.stream);
    this.#end();
    // listeners for signals would keep the process alive
    for (const signal of STOP_SIGNALS) process.removeAllListeners(signal);
  }

  #report({ name, event }: EventJob, what: string): void {
    const [action, devpath, file] = [event.action, event.devpath, name].map(textOf);
    printError(`run: ${this.options.command[0]} for ${action} ${devpath} (${file}): ${what}`);
  }
}
