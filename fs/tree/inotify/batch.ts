/** A batch of work for the notifier, and the share that each user has of it. */
import { clock } from '../../shared/clock.js';
import type { WatchCandidates, WatchedDirectory } from './watch-state.js';

/** Stands in a batch for an asker's thread id if a directory had too many askers. */
const MORE_ASKERS = -1;

/** The text of one batch, in the format of native/notifier/main.c. */
export class Batch {
  readonly #parts: string[] = [];

  /** Tells the notifier to forget an ended directory. */
  addEnded(ino: number): void {
    this.#parts.push(`F${ino}`);
  }

  /**
   * Adds a directory with its askers and events.
   * @param names the names of the events
   */
  addDirectory(
    { ino, nameForNotifier }: WatchedDirectory,
    candidates: WatchCandidates,
    names: Iterable<string>,
  ): void {
    this.#parts.push(`D${ino} ${nameForNotifier}`);
    const nowMs = clock.monotonicMs();
    candidates.askers.forEach((tid, i) =>
      this.#parts.push(`S${tid} ${Math.floor(nowMs - candidates.askedMs[i])}`),
    );
    if (candidates.hasMore) this.#parts.push(`S${MORE_ASKERS} 0`);
    for (const event of names) this.#parts.push(`N${event}`);
  }

  /** Tells the notifier to remove a ghost. */
  addGhost(name: string): void {
    this.#parts.push(`G${name}`);
  }

  /** @returns the bytes of the batch; null if it is empty */
  toBuffer(): Buffer | null {
    if (this.#parts.length === 0) return null;
    return Buffer.from(`${this.#parts.join('\0')}\0.\0`, 'latin1');
  }
}

/**
 * Divides the room of a batch: each user has a share, however many directories the user has, and
 * each directory of the user has a share of that.
 * @param due the directories with pending events
 * @param lastUser the uid of the user whose events ended the last batch; this batch begins with the
 * next user
 * @param room the most events in the batch
 * @param put puts at most `most` events of a directory into the batch, and returns how many it put
 * @returns the uid of the user whose events end this batch
 */
export function divideRoom(
  due: Iterable<WatchedDirectory>,
  lastUser: number,
  room: number,
  put: (directory: WatchedDirectory, most: number) => number,
): number {
  const ofUsers = new Map<number, WatchedDirectory[]>();
  for (const directory of due) {
    const known = ofUsers.get(directory.uid);
    if (known === undefined) ofUsers.set(directory.uid, [directory]);
    else known.push(directory);
  }
  const users = [...ofUsers].sort(([a], [b]) => a - b);
  const first = Math.max(
    0,
    users.findIndex(([uid]) => uid > lastUser),
  );
  for (let i = 0; i < users.length && room > 0; i++) {
    const [uid, directories] = users[(first + i) % users.length];
    let share = Math.max(1, Math.floor(room / (users.length - i)));
    const each = Math.max(1, Math.floor(share / directories.length));
    for (const directory of directories) {
      if (share === 0) break;
      const count = put(directory, Math.min(share, each));
      share -= count;
      room -= count;
    }
    lastUser = uid;
  }
  return lastUser;
}
