/** The threads that may watch one directory, and the events to announce to them. */
import type { Entry, Queue } from '../../bus/queue.js';
import type { Sequence } from '../../bus/sequence.js';
import { clock } from '../../shared/clock.js';

/**
 * The most askers that a directory keeps until its next event. If more ask, the notifier looks at
 * all processes.
 */
const MOST_ASKERS = 16;
/**
 * Up to this many pending positions, `announce` does not look for events that are gone from the
 * queue.
 */
const FEWEST_PENDING = 64;
const NO_THREAD = -1;

/** A directory that a process may watch. */
export interface WatchedDirectory {
  readonly ino: number;
  readonly uid: number;
  /** The name by which the notifier finds it in the root. */
  readonly nameForNotifier: string;
  readonly queue: Queue<Entry>;
  /** Null until a thread asks for the directory's attributes. */
  readonly watch: WatchState | null;
  /** Returns `watch`, made if it is null. */
  startWatch(): WatchState;
}

/**
 * The threads that may have an inotify watch on a directory, and the directory's events that are to
 * be announced to them.
 */
export class WatchCandidates {
  /** The ids of the threads that have asked for the directory since the last batch. */
  readonly askers: number[] = [];
  /** The time of each asker's request: milliseconds of clock.monotonicMs(). */
  readonly askedMs: number[] = [];
  /** Whether more threads have asked than `askers` keeps. */
  hasMore = false;
  /** Positions in the queue of the events that no batch has named yet. */
  pending: number[] = [];
  /**
   * The events that the current batch names and the notifier has not made yet: position by name.
   */
  inBatch: Map<string, number> | null = null;

  /**
   * Adds a thread that has asked for the directory.
   * @param tid the thread's id
   * @param ms the time of its request, in milliseconds of clock.monotonicMs()
   */
  add(tid: number, ms: number): void {
    if (this.hasMore || this.askers.includes(tid)) return;
    if (this.askers.length === MOST_ASKERS) this.hasMore = true;
    else {
      this.askers.push(tid);
      this.askedMs.push(ms);
    }
  }

  /** Whether a thread has asked for the directory since the last batch. */
  get isAsked(): boolean {
    return this.askers.length > 0 || this.hasMore;
  }

  /** Removes all askers: a batch names them. */
  clearAskers(): void {
    this.askers.length = this.askedMs.length = 0;
    this.hasMore = false;
  }

  /**
   * Moves pending events to the current batch, oldest first, and drops those that are gone from the
   * queue.
   * @param entries the entries of the queue
   * @param most the most events to move
   * @returns the events of the batch: position by name
   */
  takePending(entries: Sequence<Entry>, most: number): ReadonlyMap<string, number> {
    const { pending } = this;
    const taken = new Map<string, number>();
    let looked = 0;
    while (looked < pending.length && taken.size < most) {
      const position = pending[looked++];
      const entry = entries.at(position);
      if (entry !== undefined) taken.set(entry.name, position);
    }
    pending.splice(0, looked);
    this.inBatch = taken;
    return taken;
  }
}

/** The daemon's knowledge of the inotify watches on one directory. */
export class WatchState {
  /**
   * The id of the thread that asked last, as long as it may be about to watch the directory; else
   * NO_THREAD.
   */
  #asker = NO_THREAD;
  /** When `#asker` asked first: milliseconds of clock.monotonicMs(). */
  #askedMs = 0;
  #candidates: WatchCandidates | null = null;
  #raised = 0;
  /** All events before it have been announced, or need not be; -1 before the first asker. */
  announcedTo = -1;

  /**
   * Not null if a thread that may watch the directory has asked for its attributes: then its events
   * are announced.
   */
  get candidates(): WatchCandidates | null {
    return this.#candidates;
  }

  /** The number of IN_CREATEs that the kernel has raised for delivered events of the directory. */
  get raised(): number {
    return this.#raised;
  }

  /** Counts an IN_CREATE that the kernel raises. */
  countRaised(): void {
    this.#raised++;
  }

  /** Whether a thread has asked last that may be about to watch the directory. */
  get hasAsker(): boolean {
    return this.#asker !== NO_THREAD;
  }

  /**
   * Notes that a thread asks for the directory's attributes. If no other thread may watch, only the
   * events from now on are to be announced: a later daemon must not announce earlier ones.
   * @param next the position of the next event
   * @returns whether `announcedTo` has changed
   */
  askedBy(tid: number, next: number): boolean {
    const isAgain = this.#asker === tid;
    const isFirst = this.#asker === NO_THREAD && this.#candidates === null;
    this.noteAsker();
    this.#asker = tid;
    if (!isAgain) this.#askedMs = clock.monotonicMs();
    if (!isFirst || this.announcedTo === next) return false;
    this.announcedTo = next;
    return true;
  }

  /** Notes that a thread sends a further request for the directory: it asked on the way to that. */
  enteredBy(tid: number): void {
    if (this.#asker === tid) this.#asker = NO_THREAD;
  }

  /**
   * Makes the last asker a watch candidate: no further request has shown that it does not watch.
   */
  noteAsker(): void {
    if (this.#asker === NO_THREAD) return;
    (this.#candidates ??= new WatchCandidates()).add(this.#asker, this.#askedMs);
    this.#asker = NO_THREAD;
  }

  /**
   * Adds an event to the pending ones, if a process may watch the directory. Events that are gone
   * from the queue are not announced, so they are removed here if there are many. The price of an
   * entry covers its position (prices.ts).
   * @param position the event's position in the queue
   * @param entries the entries of the queue
   * @returns whether a process may watch the directory
   */
  announce(position: number, entries: Sequence<Entry>): boolean {
    const hadNone = this.#candidates === null;
    this.noteAsker();
    const candidates = this.#candidates;
    if (candidates === null) return false;
    if (hadNone) this.announcedTo = position;
    candidates.pending.push(position);
    if (candidates.pending.length > Math.max(2 * entries.size, FEWEST_PENDING))
      candidates.pending = candidates.pending.filter((at) => entries.at(at) !== undefined);
    return true;
  }

  /**
   * Puts the events of an unfinished batch back: its notifier has died. The next notifier looks at
   * all processes, because it knows no watches yet.
   * @returns whether events are pending
   */
  requeue(): boolean {
    const candidates = this.#candidates!;
    candidates.hasMore = true;
    candidates.pending.unshift(...(candidates.inBatch?.values() ?? []));
    candidates.inBatch = null;
    return candidates.pending.length > 0;
  }

  /**
   * Restores the watches of a directory of the last daemon: the notifier looks at all processes.
   * @param announcedTo the position before which all events were announced
   * @returns whether events are pending
   */
  restore(announcedTo: number, entries: Sequence<Entry>): boolean {
    this.announcedTo = announcedTo;
    const candidates = new WatchCandidates();
    candidates.hasMore = true;
    for (let at = entries.seek(announcedTo); at >= 0; at = entries.seek(at + 1))
      if (entries.at(at)!.event.number >= 0) candidates.pending.push(at);
    this.#candidates = candidates;
    return candidates.pending.length > 0;
  }

  /** Ends the current batch. */
  batchDone(): void {
    if (this.#candidates !== null) this.#candidates.inBatch = null;
  }

  /**
   * Drops the candidates, because the notifier has found no watch, unless a thread has asked since.
   * @returns whether they are dropped
   */
  dropUnlessAsked(): boolean {
    if (this.#candidates?.isAsked === true || this.hasAsker) return false;
    this.#candidates = null;
    return true;
  }

  /** Drops the candidates and the last asker: the directory has ended, or no notifier runs. */
  clear(): void {
    this.#candidates = null;
    this.#asker = NO_THREAD;
  }
}
