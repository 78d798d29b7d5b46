/**
 * The queue of work for the notifier, the helper process that raises inotify events for changes
 * that the daemon makes by itself: a delivered event, and the end of an owner's directory.
 *
 * Events: the daemon links an event into its queue at once. If a process may watch the directory,
 * the event's position also waits here. The notifier then makes a file of that name through the
 * mount. The daemon answers the notifier's LOOKUP, and no other, with ENOENT, and its MKNOD with
 * the event that is there already: so the kernel raises IN_CREATE. If the event has been taken by
 * then, the kernel raises nothing: the process that took the event knows of it.
 *
 * Deaths: no process reaches a dead owner's directory any more. Only the notifier still finds it,
 * as a *ghost*. The notifier removes the ghost through the mount: so the kernel raises IN_DELETE
 * and IN_DELETE_SELF.
 *
 * Watches: the kernel does not tell a FUSE daemon of inotify watches. But inotify_add_watch(2)
 * makes the kernel ask for the directory's attributes, with the thread's id in the request. So the
 * daemon notes the threads that ask. It names them to the notifier with the directory's next event,
 * and the notifier finds out whether one of them has a watch (native/notifier/scan.c). A directory
 * that no thread asks for costs nothing. A path walk and a listing ask for attributes too, but then
 * the same thread sends a further request for the directory: so the daemon knows that it does not
 * set a watch, and forgets the thread.
 */
import type { Entry, Queue } from '../bus/queue.js';
import type { Directory } from './nodes/directory.js';
import type { StatusLines } from '../shared/status-lines.js';

/**
 * The most events and the most ghosts in one batch: a few milliseconds of the notifier's time. Each
 * user has a share of a batch, and each directory of the user has a share of that: a watcher that
 * hears of one event takes all the events that are there, and a watcher that hears of none sleeps.
 */
const MOST_NAMES = 64;
const MOST_GHOSTS_AT_ONCE = 64;
/** The most ghosts. The end of a further directory raises no inotify event. */
const MOST_GHOSTS = 64 * 1024;
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
/** Stands in a batch for an asker's thread id if a directory had too many askers. */
const CROWD = -1;
const NOBODY = -1;

/**
 * The threads that may watch a directory, and the directory's events that are to be announced to
 * them.
 */
export class WatchCandidates {
  /** The ids of the threads that have asked for the directory since the last batch. */
  readonly askers: number[] = [];
  /** The time of each asker's request: milliseconds of performance.now(). */
  readonly askedMs: number[] = [];
  /** Whether more threads have asked than `askers` keeps. */
  isCrowd = false;
  /** Positions in the queue of the events that no batch has named yet. */
  pending: number[] = [];
  /**
   * The events that the current batch names and the notifier has not made yet: position by name.
   */
  told: Map<string, number> | null = null;

  /**
   * Notes a thread that has asked for the directory.
   * @param tid the thread's id
   * @param ms the time of its request, in milliseconds of performance.now()
   */
  add(tid: number, ms: number): void {
    if (this.isCrowd || this.askers.includes(tid)) return;
    if (this.askers.length === MOST_ASKERS) this.isCrowd = true;
    else {
      this.askers.push(tid);
      this.askedMs.push(ms);
    }
  }

  /** Whether a thread has asked for the directory since the last batch. */
  get isAsked(): boolean {
    return this.askers.length > 0 || this.isCrowd;
  }
}

/** A directory that a process may watch. */
export interface WatchedDirectory {
  readonly ino: number;
  readonly uid: number;
  readonly name: string;
  readonly queue: Queue<Entry>;
  /**
   * Not null if a thread that may watch the directory has asked for its attributes: then its events
   * are announced.
   */
  candidates: WatchCandidates | null;
  /**
   * The id of the thread that asked last, as long as it may be about to watch the directory; else
   * -1.
   */
  asker: number;
  /** When `asker` asked first: milliseconds of performance.now(). */
  askedMs: number;
  /** The number of IN_CREATEs that the kernel has raised for delivered events of the directory. */
  noticed: number;
}

/** A dead owner's directory, which only the notifier still finds. */
export interface Ghost extends Directory {
  readonly name: string;
  /** Charges the directory's account for the memory that the ghost keeps. */
  chargeGhost(): void;
  /** Refunds what `chargeGhost` has charged. */
  refundGhost(): void;
}

/** The events and ghosts that wait for the notifier. */
export class InotifyQueue {
  #helper = NOBODY;
  /** Called if there is work for the next batch; null if the driver has no notifier. */
  #onDue: (() => void) | null = null;
  /** The number of IN_CREATEs that the kernel has raised. */
  #raised = 0;
  #batches = 0;
  /** Directories with pending events. */
  readonly #due = new Set<WatchedDirectory>();
  /** Directories that the notifier knows, by inode. */
  readonly #open = new Map<number, WatchedDirectory>();
  /** The uid of the user whose events ended the last batch. */
  #lastUser = NOBODY;
  /** Directories with events in the batch that the notifier works on. */
  #inBatch: WatchedDirectory[] = [];
  /** The ghosts, by the names under which the notifier finds them. */
  readonly #ghosts = new Map<string, Ghost>();
  /** The names of the ghosts that no batch has named yet. */
  #newGhosts: string[] = [];
  /** The names of the ghosts in the batch that the notifier works on. */
  #toldGhosts: string[] = [];
  /** Inodes of ended directories that the notifier still knows. */
  #ended: number[] = [];

  /**
   * Switches the queue on: the driver has a notifier.
   * @param onDue called each time there is work for the next batch
   */
  attach(onDue: () => void): void {
    this.#onDue = onDue;
  }

  /** The notifier's PID; -1 while none runs. */
  get helper(): number {
    return this.#helper;
  }

  /** Notes the PID of the notifier, which runs now. */
  helperStarted(pid: number): void {
    this.#helper = pid;
  }

  /** Notes that the notifier has ended and that the driver will start another one. */
  helperEnded(): void {
    this.#helper = NOBODY;
  }

  // ---- calls from the tree and from the requests of all processes

  /**
   * Notes that a thread asks for the directory's attributes, and so may be about to watch it.
   * Called for every GETATTR.
   */
  onGetattr(directory: WatchedDirectory, tid: number): void {
    if (this.#onDue === null || tid === this.#helper) return;
    const isAgain = directory.asker === tid;
    this.#noteAsker(directory);
    directory.asker = tid;
    if (!isAgain) directory.askedMs = performance.now();
  }

  /**
   * Notes that a thread looks up a name in the directory, or changes or lists it. If the thread
   * asked last, it asked on the way to that request, not to watch.
   */
  entered(directory: WatchedDirectory, tid: number): void {
    if (directory.asker === tid) directory.asker = NOBODY;
  }

  /**
   * Makes the last asker a watch candidate: no further request has shown that it does not watch.
   */
  #noteAsker(directory: WatchedDirectory): void {
    if (directory.asker === NOBODY) return;
    (directory.candidates ??= new WatchCandidates()).add(directory.asker, directory.askedMs);
    directory.asker = NOBODY;
  }

  /**
   * Has the notifier announce an event that the daemon has delivered, if a process may watch the
   * directory.
   * @param directory the directory
   * @param position the event's position in the directory's queue
   */
  announce(directory: WatchedDirectory, position: number): void {
    if (this.#onDue === null) return;
    this.#noteAsker(directory);
    if (directory.candidates === null) return;
    const { candidates } = directory;
    candidates.pending.push(position);
    // An event that is gone from the queue is not announced. The price of an entry covers its
    // position here (prices.ts).
    const { entries } = directory.queue;
    if (candidates.pending.length > Math.max(2 * entries.size, FEWEST_PENDING))
      candidates.pending = candidates.pending.filter((at) => entries.at(at) !== undefined);
    this.#due.add(directory);
    this.#onDue?.();
  }

  /** Drops the pending events of a directory that has ended, by rmdir(2) or with its owner. */
  ended(directory: WatchedDirectory): void {
    directory.candidates = null;
    directory.asker = NOBODY;
    this.#due.delete(directory);
    if (this.#open.delete(directory.ino)) this.#ended.push(directory.ino);
  }

  /**
   * Makes a ghost of a directory that has ended with its owner: the notifier removes it through the
   * mount.
   */
  queueDelete(directory: Ghost): void {
    if (this.#onDue === null || this.#ghosts.size >= MOST_GHOSTS) return;
    directory.chargeGhost();
    this.#addGhost(directory.name, directory);
  }

  /**
   * Renames the ghost of that name, if there is one: a new directory takes the name, and the
   * notifier must not remove that one. No process sees the ghost's new name.
   */
  nameTaken(name: string): void {
    const ghost = this.#ghosts.get(name);
    if (ghost === undefined) return;
    this.#ghosts.delete(name);
    this.#addGhost(`.ended-${ghost.ino}`, ghost);
  }

  #addGhost(name: string, ghost: Ghost): void {
    this.#ghosts.set(name, ghost);
    this.#newGhosts.push(name);
    this.#onDue?.();
  }

  // ---- calls from the notifier's requests

  /** @returns the ghost that the notifier finds by that name */
  ghost(name: string): Ghost | undefined {
    return this.#ghosts.get(name);
  }

  /**
   * Removes a ghost, as the notifier asks by RMDIR.
   * @returns false if there is no such ghost (any more)
   */
  removeGhost(name: string): boolean {
    this.#ghosts.get(name)?.refundGhost();
    return this.#ghosts.delete(name);
  }

  /**
   * @returns whether the notifier is still to make the event's file: the batch names it, and it is
   * in the queue
   */
  isUnmade(directory: WatchedDirectory, name: string): boolean {
    const position = directory.candidates?.told?.get(name);
    return position !== undefined && directory.queue.entries.at(position)?.name === name;
  }

  /**
   * Notes that the notifier makes an event's file, by MKNOD.
   * @returns false if the notifier is not to make that file (any more)
   */
  made(directory: WatchedDirectory, name: string): boolean {
    const isUnmade = this.isUnmade(directory, name);
    directory.candidates?.told?.delete(name);
    return isUnmade;
  }

  /** Counts an IN_CREATE that the kernel raises for an event of the directory. */
  wasRaised(directory: WatchedDirectory): void {
    directory.noticed++;
    this.#raised++;
  }

  // ---- calls from the driver, which carries batches to the notifier and answers back

  /**
   * Makes the next batch for the notifier.
   * @returns the batch in the format of native/notifier/main.c; null if there is no work
   */
  nextBatch(): Buffer | null {
    const parts: string[] = [];
    for (const ino of this.#ended) parts.push(`F${ino}`);
    this.#ended = [];
    this.#putNames(parts);
    for (const name of this.#newGhosts.splice(0, MOST_GHOSTS_AT_ONCE)) {
      if (!this.#ghosts.has(name)) continue;
      parts.push(`G${name}`);
      this.#toldGhosts.push(name);
    }
    if (parts.length === 0) return null;
    this.#batches++;
    return Buffer.from(`${parts.join('\0')}\0.\0`, 'latin1');
  }

  /**
   * Puts events into a batch, with a share for each user, however many directories the user has.
   * The next batch begins with the user after the last one of this batch.
   */
  #putNames(parts: string[]): void {
    const ofUsers = new Map<number, WatchedDirectory[]>();
    for (const directory of this.#due) {
      const known = ofUsers.get(directory.uid);
      if (known === undefined) ofUsers.set(directory.uid, [directory]);
      else known.push(directory);
    }
    const users = [...ofUsers].sort(([a], [b]) => a - b);
    const first = Math.max(
      0,
      users.findIndex(([uid]) => uid > this.#lastUser),
    );
    let room = MOST_NAMES;
    for (let i = 0; i < users.length && room > 0; i++) {
      const [uid, directories] = users[(first + i) % users.length];
      let share = Math.max(1, Math.floor(room / (users.length - i)));
      const each = Math.max(1, Math.floor(share / directories.length));
      for (const directory of directories) {
        if (share === 0) break;
        const put = this.#put(directory, Math.min(share, each), parts);
        share -= put;
        room -= put;
      }
      this.#lastUser = uid;
    }
  }

  /**
   * Puts a directory, its askers and its next events into a batch.
   * @param room the most events
   * @returns the number of events put
   */
  #put(directory: WatchedDirectory, room: number, parts: string[]): number {
    this.#noteAsker(directory);
    const candidates = directory.candidates!;
    const { ino } = directory;
    this.#due.delete(directory);
    candidates.told = takePending(directory, room);
    if (candidates.pending.length > 0) this.#due.add(directory); // behind the others
    if (candidates.told.size === 0) return 0;
    parts.push(`D${ino} ${directory.name}`);
    const nowMs = performance.now();
    candidates.askers.forEach((tid, i) =>
      parts.push(`S${tid} ${Math.floor(nowMs - candidates.askedMs[i])}`),
    );
    if (candidates.isCrowd) parts.push(`S${CROWD} 0`);
    candidates.askers.length = candidates.askedMs.length = 0;
    candidates.isCrowd = false;
    this.#open.set(ino, directory);
    for (const name of candidates.told.keys()) parts.push(`N${name}`);
    this.#inBatch.push(directory);
    return candidates.told.size;
  }

  /**
   * Ends the batch: the notifier has done all of it.
   * @param quiet the inodes of the directories that no process watches
   */
  done(quiet: readonly number[]): void {
    for (const ino of quiet) this.#becomeQuiet(ino);
    for (const { candidates } of this.#inBatch) if (candidates !== null) candidates.told = null;
    this.#inBatch = [];
    // The notifier cannot remove a ghost that something is mounted on.
    for (const name of this.#toldGhosts) this.removeGhost(name);
    this.#toldGhosts = [];
  }

  #becomeQuiet(ino: number): void {
    const directory = this.#open.get(ino);
    if (directory === undefined) return;
    this.#open.delete(ino);
    const candidates = directory.candidates!;
    if (candidates.isAsked || directory.asker !== NOBODY) return; // a thread has asked since
    directory.candidates = null;
    this.#due.delete(directory);
  }

  /**
   * Puts the events and ghosts of the unfinished batch back, after the notifier's death. The new
   * notifier knows no watches yet: for the directories that the dead one knew, it looks at all
   * processes.
   */
  again(): void {
    for (const directory of this.#open.values()) {
      const candidates = directory.candidates!;
      candidates.isCrowd = true;
      candidates.pending.unshift(...(candidates.told?.values() ?? []));
      candidates.told = null;
      if (candidates.pending.length > 0) this.#due.add(directory);
    }
    this.#newGhosts.unshift(...this.#toldGhosts);
    this.#toldGhosts = [];
    this.#inBatch = [];
    this.#ended = [];
  }

  /** Switches the queue off and empties it: no notifier runs, and the driver will start none. */
  giveUp(): void {
    this.#onDue = null;
    this.#helper = NOBODY;
    for (const directory of [...this.#due, ...this.#open.values()]) directory.candidates = null;
    this.#due.clear();
    this.#open.clear();
    for (const name of [...this.#ghosts.keys()]) this.removeGhost(name);
    this.#newGhosts = [];
    this.#toldGhosts = [];
    this.#inBatch = [];
    this.#ended = [];
  }

  /** @returns the queue's lines for `log/.status` */
  statusLines(): StatusLines {
    return [
      ['NOTIFIER', this.#helper],
      ['NOTICES', this.#raised],
      ['NOTICE_BATCHES', this.#batches],
      ['WATCHED', this.#open.size],
      ['UNTOLD', this.#due.size + this.#inBatch.length],
      ['GHOSTS', this.#ghosts.size],
    ];
  }
}

/**
 * Takes pending events of a directory, oldest first, and drops those that are gone from the queue.
 * @param most the most events to return
 * @returns position by name
 */
function takePending({ candidates, queue }: WatchedDirectory, most: number): Map<string, number> {
  const { pending } = candidates!;
  const told = new Map<string, number>();
  let looked = 0;
  while (looked < pending.length && told.size < most) {
    const position = pending[looked++];
    const entry = queue.entries.at(position);
    if (entry !== undefined) told.set(entry.name, position);
  }
  pending.splice(0, looked);
  return told;
}
