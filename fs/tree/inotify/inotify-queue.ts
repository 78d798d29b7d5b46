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
import type { StatusLines } from '../../shared/status-lines.js';
import { Batch, divideRoom } from './batch.js';
import { type Ghost, Ghosts } from './ghosts.js';
import { HeldBack } from './held-back.js';
import type { WatchedDirectory } from './watch-state.js';

/**
 * The most events in one batch: a few milliseconds of the notifier's time. Each user has a share of
 * a batch, and each directory of the user has a share of that: a watcher that gets one event takes
 * all the events that are there, and a watcher that gets none sleeps.
 */
const MOST_NAMES = 64;
const NO_PROCESS = -1;
const NO_USER = -1;

/** The events and ghosts that wait for the notifier. */
export class InotifyQueue {
  #notifierPid = NO_PROCESS;
  /** Called if there is work for the next batch; null if the driver has no notifier. */
  #onDue: (() => void) | null = null;
  /** The number of IN_CREATEs that the kernel has raised. */
  #raised = 0;
  #batches = 0;
  /** Directories with pending events. */
  readonly #due = new Set<WatchedDirectory>();
  /** Directories that the notifier knows, by inode. */
  readonly #known = new Map<number, WatchedDirectory>();
  /** The uid of the user whose events ended the last batch. */
  #lastUser = NO_USER;
  /** Directories with events in the batch that the notifier works on. */
  #inBatch: WatchedDirectory[] = [];
  readonly heldBack = new HeldBack();
  readonly #ghosts = new Ghosts();
  /** Inodes of ended directories that the notifier still knows. */
  #ended: number[] = [];

  /**
   * Switches the queue on: the driver has a notifier.
   * @param onDue called each time there is work for the next batch
   */
  attach(onDue: () => void): void {
    this.#onDue = onDue;
    if (this.#due.size > 0 || this.#ghosts.size > 0) onDue();
  }

  /** Collects work for a notifier that will be attached. */
  expect(): void {
    this.#onDue = () => undefined;
  }

  /**
   * Restores the watches of a directory of the last daemon.
   * @param announcedTo the position before which all events were announced
   */
  restore(directory: WatchedDirectory, announcedTo: number): void {
    if (directory.startWatch().restore(announcedTo, directory.queue.entries))
      this.#due.add(directory);
  }

  /** The notifier's PID; -1 while none runs. */
  get notifierPid(): number {
    return this.#notifierPid;
  }

  /** Notes the PID of the notifier, which runs now. */
  notifierStarted(pid: number): void {
    this.#notifierPid = pid;
  }

  /** Notes that the notifier has ended and that the driver will start another one. */
  notifierEnded(): void {
    this.#notifierPid = NO_PROCESS;
  }

  // ---- calls from the tree and from the requests of all processes

  /**
   * Notes that a thread asks for the directory's attributes, and so may be about to watch it.
   * Called for every GETATTR.
   */
  onGetattr(directory: WatchedDirectory, tid: number): void {
    if (this.#onDue === null || tid === this.#notifierPid) return;
    const { journal, entries } = directory.queue;
    if (directory.startWatch().askedBy(tid, entries.nextPosition)) journal?.watchersChanged();
  }

  /**
   * Notes that a thread looks up a name in the directory, or changes or lists it. If the thread
   * asked last, it asked on the way to that request, not to watch.
   */
  entered(directory: WatchedDirectory, tid: number): void {
    directory.watch?.enteredBy(tid);
  }

  /**
   * Makes the notifier announce an event that the daemon has delivered, if a process may watch the
   * directory.
   * @param directory the directory
   * @param position the event's position in the directory's queue
   */
  announce(directory: WatchedDirectory, position: number): void {
    if (this.#onDue === null || directory.watch === null) return;
    if (!directory.watch.announce(position, directory.queue.entries)) return;
    this.#due.add(directory);
    this.#onDue();
  }

  /** Drops the pending events of a directory that has ended, by rmdir(2) or with its owner. */
  ended(directory: WatchedDirectory): void {
    directory.watch?.clear();
    this.#due.delete(directory);
    if (this.#known.delete(directory.ino)) this.#ended.push(directory.ino);
  }

  /**
   * Makes a ghost of a directory that has ended with its owner: the notifier removes it through the
   * mount.
   */
  queueDelete(directory: Ghost): void {
    if (this.#onDue !== null && this.#ghosts.add(directory)) this.#onDue();
  }

  /** Notes that a new directory takes a name, which a ghost may have. */
  nameTaken(name: string): void {
    if (this.#ghosts.nameTaken(name)) this.#onDue?.();
  }

  // ---- the handlers of the notifier's requests call these

  /** All ghosts. */
  get ghosts(): IterableIterator<Ghost> {
    return this.#ghosts.all();
  }

  /** @returns the ghost that the notifier finds by that name */
  ghost(name: string): Ghost | undefined {
    return this.#ghosts.get(name);
  }

  /**
   * Removes a ghost, as the notifier asks by RMDIR.
   * @returns false if there is no such ghost (any more)
   */
  removeGhost(name: string): boolean {
    return this.#ghosts.remove(name);
  }

  /**
   * @returns whether the notifier is still to make the event's file: the batch names it, and it is
   * in the queue
   */
  isUnmade(directory: WatchedDirectory, name: string): boolean {
    const position = directory.watch?.candidates?.inBatch?.get(name);
    return position !== undefined && directory.queue.entries.at(position)?.name === name;
  }

  /**
   * Notes that the notifier makes an event's file, by MKNOD.
   * @returns false if the notifier is not to make that file (any more)
   */
  made(directory: WatchedDirectory, name: string): boolean {
    const isUnmade = this.isUnmade(directory, name);
    const { watch } = directory;
    const inBatch = watch?.candidates?.inBatch;
    const position = inBatch?.get(name);
    if (watch === null || position === undefined) return isUnmade;
    inBatch?.delete(name);
    watch.announcedTo = Math.max(watch.announcedTo, position + 1);
    directory.queue.journal?.watchersChanged();
    return isUnmade;
  }

  /** Counts an IN_CREATE that the kernel raises for an event of the directory. */
  countRaised(directory: WatchedDirectory): void {
    directory.startWatch().countRaised();
    this.#raised++;
  }

  // ---- calls from the driver, which carries batches to the notifier and answers back

  /**
   * Makes the next batch for the notifier. It begins with the user after the last one of the batch
   * before.
   * @returns the batch in the format of native/notifier/main.c; null if there is no work
   */
  nextBatch(): Buffer | null {
    const batch = new Batch();
    for (const ino of this.#ended) batch.addEnded(ino);
    this.#ended = [];
    this.heldBack.begin();
    const due = this.heldBack.without(this.#due);
    this.#lastUser = divideRoom(due, this.#lastUser, MOST_NAMES, (directory, most) =>
      this.#put(directory, most, batch),
    );
    this.#ghosts.putInto(batch);
    const bytes = batch.toBuffer();
    if (bytes !== null) this.#batches++;
    return bytes;
  }

  /**
   * Puts a directory, its askers and its next events into a batch.
   * @param most the most events
   * @returns the number of events put
   */
  #put(directory: WatchedDirectory, most: number, batch: Batch): number {
    const watch = directory.watch!;
    watch.noteAsker();
    const candidates = watch.candidates!;
    this.#due.delete(directory);
    const taken = candidates.takePending(directory.queue.entries, most);
    if (candidates.pending.length > 0) this.#due.add(directory); // behind the others
    if (taken.size === 0) return 0;
    batch.addDirectory(directory, candidates, taken.keys());
    candidates.clearAskers();
    this.#known.set(directory.ino, directory);
    this.#inBatch.push(directory);
    return taken.size;
  }

  /**
   * Ends the batch: the notifier has done all of it.
   * @param unwatched the inodes of the directories that no process watches
   */
  batchDone(unwatched: readonly number[]): void {
    for (const ino of unwatched) this.#foundUnwatched(ino);
    for (const { watch } of this.#inBatch) watch?.batchDone();
    this.#inBatch = [];
    this.#ghosts.batchDone();
  }

  #foundUnwatched(ino: number): void {
    const directory = this.#known.get(ino);
    if (directory === undefined) return;
    this.#known.delete(ino);
    if (directory.watch?.dropUnlessAsked() === true) this.#due.delete(directory);
  }

  /**
   * Puts the events and ghosts of the unfinished batch back, after the notifier's death. The new
   * notifier knows no watches yet: for the directories that the dead one knew, it looks at all
   * processes.
   */
  requeue(): void {
    for (const directory of this.#known.values())
      if (directory.watch!.requeue()) this.#due.add(directory);
    this.#ghosts.requeue();
    this.#inBatch = [];
    this.#ended = [];
  }

  /** Switches the queue off and empties it: no notifier runs, and the driver will start none. */
  giveUp(): void {
    this.#onDue = null;
    this.#notifierPid = NO_PROCESS;
    for (const { watch } of [...this.#due, ...this.#known.values()]) watch?.clear();
    this.#due.clear();
    this.#known.clear();
    this.#ghosts.clear();
    this.#inBatch = [];
    this.#ended = [];
  }

  /** @returns the queue's lines for `log/.status` */
  statusLines(): StatusLines {
    return [
      ['NOTIFIER', this.#notifierPid],
      ['NOTICES', this.#raised],
      ['NOTICE_BATCHES', this.#batches],
      ['WATCHED', this.#known.size],
      ['UNTOLD', this.#due.size + this.#inBatch.length],
      ['GHOSTS', this.#ghosts.size],
    ];
  }
}
