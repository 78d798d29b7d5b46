/**
 * What the notifier, a helper process, has to do on the mount so that inotify tells of what the daemon does by itself.
 *
 * An event is in its queue at once. If somebody may watch the directory, its place is *unannounced* until the helper has
 * asked to make that file: it alone is told that there is none, and is then given the event that is there, which raises
 * IN_CREATE. An event that has been taken by then is not told of: whoever took it knows. A dead owner's directory is out of reach at once; its *ghost*, which the helper alone still finds, is what
 * the helper removes, which raises IN_DELETE and IN_DELETE_SELF.
 *
 * FUSE is not told of watches. But inotify_add_watch(2) asks for the directory's attributes in the name of its thread.
 * So whoever asks is told to the helper with the next event, which finds out whether there is a watch
 * (native/notifier/scan.c). A directory that nobody asks for costs nothing; nor does one that is only walked through or
 * listed: that asks too, but then the same thread goes on to say what it wants there, and it was no watch.
 */
import type { Entry, Queue } from '../bus/queue.js';
import type { Directory } from './nodes/node.js';
import type { StatusLines } from '../shared/status-lines.js';

/**
 * The most events that one batch announces, and the most ghosts: a few milliseconds of the helper's time. All users have a
 * share in a batch, and all directories of a user in that: a client that is told of one event takes all that there are,
 * and who has been told of none sleeps.
 */
const MOST_NAMES = 64;
const MOST_GHOSTS_AT_ONCE = 64;
/** The most ghosts: what dies beyond them is not told. */
const MOST_GHOSTS = 64 * 1024;
/** The most askers that are kept until the next event; when there were more, the helper looks at all processes. */
const MOST_ASKERS = 16;
/** So many events wait to be announced before it is looked whether they are still there. */
const FEWEST_PENDING = 64;
/** What a batch says instead of an asker's thread id. */
const CROWD = -1;
const NOBODY = -1;

/** Why a directory's events may have to be announced. */
export class WatchCandidates {
  /** Threads that have asked for the directory since the last batch, and when (performance.now()). */
  readonly askers: number[] = [];
  readonly askedMs: number[] = [];
  /** More have asked than are kept. */
  isCrowd = false;
  /** Positions of events that the helper has not been told of. */
  pending: number[] = [];
  /** Events that it has been told of and has not made yet, and their positions. */
  told: Map<string, number> | null = null;

  add(tid: number, ms: number): void {
    if (this.isCrowd || this.askers.includes(tid)) return;
    if (this.askers.length === MOST_ASKERS) this.isCrowd = true;
    else {
      this.askers.push(tid);
      this.askedMs.push(ms);
    }
  }

  get isAsked(): boolean {
    return this.askers.length > 0 || this.isCrowd;
  }
}

/** A directory that may be watched. */
export interface WatchedDirectory {
  readonly ino: number;
  readonly uid: number;
  readonly name: string;
  readonly queue: Queue<Entry>;
  /** Set once a thread has asked for its attributes that may watch it: then what is delivered has to be announced. */
  candidates: WatchCandidates | null;
  /** The thread that asked last, and when, as long as it may have been to watch it; or -1. */
  asker: number;
  askedMs: number;
  /** How often inotify was told of a delivered event. */
  noticed: number;
}

/** A dead owner's directory, which the helper still finds. */
export interface Ghost extends Directory {
  readonly name: string;
  /** Charges what is left of it. */
  chargeGhost(): void;
  refundGhost(): void;
}

export class InotifyQueue {
  #helper = NOBODY;
  /** There is something for the next batch; null where the driver has no helper. */
  #onDue: (() => void) | null = null;
  /** How many IN_CREATEs were raised, and how many batches were sent. */
  #raised = 0;
  #batches = 0;
  /** Directories with events that have to be announced. */
  readonly #due = new Set<WatchedDirectory>();
  /** Directories that the helper knows, by inode. */
  readonly #open = new Map<number, WatchedDirectory>();
  /** The user whose events the last batch ended with. */
  #lastUser = NOBODY;
  /** Those with events in the batch that is under way. */
  #inBatch: WatchedDirectory[] = [];
  /** Dead directories under the names that the helper finds them by. */
  readonly #ghosts = new Map<string, Ghost>();
  /** Ghosts that the helper has not been told of, and those it has. */
  #newGhosts: string[] = [];
  #toldGhosts: string[] = [];
  /** Inodes of directories that have ended though the helper knows them. */
  #ended: number[] = [];

  /**
   * A driver has a helper.
   * @param onDue called when there is something for the next batch
   */
  attach(onDue: () => void): void {
    this.#onDue = onDue;
  }

  /** The helper's PID; -1 while there is none. */
  get helper(): number {
    return this.#helper;
  }

  /** The helper runs. */
  helperStarted(pid: number): void {
    this.#helper = pid;
  }

  /** The helper has ended, and another one will take its place. */
  helperEnded(): void {
    this.#helper = NOBODY;
  }

  // ---- what happens in the tree

  /** A thread asks for the directory's attributes: it may be about to watch it. Called for every request of that kind. */
  onGetattr(directory: WatchedDirectory, tid: number): void {
    if (this.#onDue === null || tid === this.#helper) return;
    const isAgain = directory.asker === tid;
    this.#noteAsker(directory);
    directory.asker = tid;
    if (!isAgain) directory.askedMs = performance.now();
  }

  /** A thread looks for a name in the directory, or changes or lists it: if it asked last, then on the way to that. */
  entered(directory: WatchedDirectory, tid: number): void {
    if (directory.asker === tid) directory.asker = NOBODY;
  }

  /** Whoever asked last may have wanted to watch it. */
  #noteAsker(directory: WatchedDirectory): void {
    if (directory.asker === NOBODY) return;
    (directory.candidates ??= new WatchCandidates()).add(directory.asker, directory.askedMs);
    directory.asker = NOBODY;
  }

  /** The daemon has delivered an event into a directory, at that position of its queue. */
  announce(directory: WatchedDirectory, position: number): void {
    if (this.#onDue === null) return;
    this.#noteAsker(directory);
    if (directory.candidates === null) return;
    const { candidates } = directory;
    candidates.pending.push(position);
    // What has gone from the queue need not be announced any more. What is kept is paid for with its entries (prices.ts).
    const { entries } = directory.queue;
    if (candidates.pending.length > Math.max(2 * entries.size, FEWEST_PENDING))
      candidates.pending = candidates.pending.filter((at) => entries.at(at) !== undefined);
    this.#due.add(directory);
    this.#onDue?.();
  }

  /** A directory has ended, by rmdir(2) or with its owner. */
  ended(directory: WatchedDirectory): void {
    directory.candidates = null;
    directory.asker = NOBODY;
    this.#due.delete(directory);
    if (this.#open.delete(directory.ino)) this.#ended.push(directory.ino);
  }

  /** A directory has ended with its owner: the kernel has to be told. */
  queueDelete(directory: Ghost): void {
    if (this.#onDue === null || this.#ghosts.size >= MOST_GHOSTS) return;
    directory.chargeGhost();
    this.#addGhost(directory.name, directory);
  }

  /** A new directory takes the name: the old one's ghost goes under a name that nobody sees, so that the new one is left alone. */
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

  // ---- what the helper asks

  ghost(name: string): Ghost | undefined {
    return this.#ghosts.get(name);
  }

  /** The helper removes a ghost. False when it is none (any more). */
  removeGhost(name: string): boolean {
    this.#ghosts.get(name)?.refundGhost();
    return this.#ghosts.delete(name);
  }

  /** Whether the helper has still to make that event's file: it has been told of it, and nobody has taken it. */
  isUnmade(directory: WatchedDirectory, name: string): boolean {
    const position = directory.candidates?.told?.get(name);
    return position !== undefined && directory.queue.entries.at(position)?.name === name;
  }

  /** The helper makes an event's file. False when it is none that it has to make (any more). */
  made(directory: WatchedDirectory, name: string): boolean {
    const isUnmade = this.isUnmade(directory, name);
    directory.candidates?.told?.delete(name);
    return isUnmade;
  }

  /** The kernel has raised IN_CREATE for an event of the directory. */
  wasRaised(directory: WatchedDirectory): void {
    directory.noticed++;
    this.#raised++;
  }

  // ---- what the driver carries to the helper and back

  /** The next thing for the helper to do, for the format see native/notifier/main.c; null when there is none. */
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

  /** Events of all users, however many directories one of them has. The next batch goes on behind the last user. */
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

  /** What is to be told of a directory; gives how many events these are. */
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

  /** The helper has done all that the last batch said. Nobody watches the directories with these inodes. */
  done(quiet: readonly number[]): void {
    for (const ino of quiet) this.#becomeQuiet(ino);
    for (const { candidates } of this.#inBatch) if (candidates !== null) candidates.told = null;
    this.#inBatch = [];
    for (const name of this.#toldGhosts) this.removeGhost(name); // what it could not remove, as under a mount
    this.#toldGhosts = [];
  }

  #becomeQuiet(ino: number): void {
    const directory = this.#open.get(ino);
    if (directory === undefined) return;
    this.#open.delete(ino);
    const candidates = directory.candidates!;
    if (candidates.isAsked || directory.asker !== NOBODY) return; // somebody has asked since
    directory.candidates = null;
    this.#due.delete(directory);
  }

  /** The helper has died, and another one takes its place, which knows nothing: what was not made yet is told again. */
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

  /** There is no helper and will be none. */
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

/** The next events that are still there and not told of, at most `most`. Those that have been taken are forgotten. */
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
