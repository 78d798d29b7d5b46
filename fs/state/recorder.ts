/**
 * Records the changes of the tree in the journal: one transaction a request, an uevent, a death or
 * a turn.
 *
 *   changed(thing) ... linked(...) ... reply(...) --commit--> the reply goes out --sent-->
 */
import { Compaction, type Recorded } from './compaction.js';
import { DROP_BIT, type Journal } from './journal.js';
import { Kind } from './schema.js';
import { type RecordedText, recordText } from './text-record.js';

export type { Recorded } from './compaction.js';

const NO_OTHERS = new Int32Array(0);

/** Records the changes of one tree. */
export class Recorder {
  #marked: Recorded[] = [];
  #isDirty = false;
  /** The number of the present transaction. */
  #transaction: number;
  #hasReplies = false;
  /** Whether the replies of the last daemon may still be asked for. */
  #isHolding = false;
  readonly #compaction: Compaction;
  /** The numbers of the tree as a whole; set by the tree. */
  counters: Recorded | null = null;
  /**
   * Called after each commit: frees the room that the next transaction needs. Its records are a
   * transaction of their own.
   */
  makeRoom: () => void = () => undefined;
  /** Things that are not of the tree. */
  readonly #others: Recorded[] = [];
  /** Returns all that lives in the tree; set by the tree. */
  living: () => Iterable<Recorded> = () => [];
  /** Called when a compaction is due: the tree then calls `step` in its turns. */
  onDue: () => void = () => undefined;

  /** Whether another daemon may use the state. */
  #isFrozen = false;

  /** @param journal the journal of the state */
  constructor(readonly journal: Journal) {
    this.#transaction = journal.layout.sent + 1;
    this.#compaction = new Compaction(journal);
  }

  /** Takes a thing that is not of the tree: the next commit and each compaction record it. */
  attach(thing: Recorded): void {
    this.#others.push(thing);
    this.changed(thing);
  }

  /** Marks a thing: the next commit records it. */
  changed(thing: Recorded): void {
    if (thing.isMarked) return;
    thing.isMarked = true;
    this.#marked.push(thing);
  }

  /** Drops a thing with one key. */
  dropped(kind: number, key: number): void {
    this.#isDirty = true;
    this.journal
      .begin(kind | DROP_BIT)
      .number(key)
      .end();
  }

  /**
   * Records a new entry of a queue, or a change of it.
   * @param directory the directory's node id
   * @param ino the inode number of the event
   * @param name the name in the directory; empty if it is that of the event
   * @param node the node id of its file; 0 if it has none
   */
  linked(directory: number, position: number, ino: number, name: string, node: number): void {
    this.#isDirty = true;
    this.journal
      .begin(Kind.link)
      .number(directory)
      .number(position)
      .number(ino)
      .text(name)
      .number(node)
      .end();
  }

  /** Records that an entry has left its queue. */
  unlinked(directory: number, position: number): void {
    this.#isDirty = true;
    this.journal
      .begin(Kind.link | DROP_BIT)
      .number(directory)
      .number(position)
      .end();
  }

  /** Records the text of an event that is not in the ring any more. */
  text(event: RecordedText): void {
    this.#isDirty = true;
    recordText(this.journal, event);
  }

  /** Marks the numbers of the tree as a whole. */
  counted(): void {
    if (this.counters !== null) this.changed(this.counters);
  }

  /** Notes that records were written to the journal by another way. */
  wrote(): void {
    this.#isDirty = true;
  }

  /**
   * Records a reply before it is sent. Its bytes are those behind the header; a slice of the log
   * may follow them.
   * @param unique the request's number, without the bit of a resent one
   * @param error 0, or a negative errno
   * @param others more requests that get the same reply: the differences of their numbers to
   *   `unique`
   * @param othersCount how many there are
   */
  reply(
    unique: number,
    error: number,
    bytes: Uint8Array,
    start: number,
    length: number,
    sliceStart: number,
    sliceLength: number,
    others: Int32Array = NO_OTHERS,
    othersCount = 0,
  ): void {
    this.#isDirty = true;
    this.#hasReplies = true;
    this.journal
      .begin(Kind.reply)
      .number(unique)
      .number(this.#transaction)
      .number(error)
      .number(sliceStart)
      .number(sliceLength)
      .bytes(bytes, start, length)
      .integers(others, othersCount)
      .end();
  }

  /**
   * Leaves the reply of the transaction that goes on, which opens a file, to the next daemon: the
   * kernel must get it before its caller can be killed.
   * @param reply begins with the reply and its header
   * @param length in bytes
   */
  opens(reply: Uint8Array, length: number): void {
    if (!this.#isFrozen) this.journal.layout.leave(reply, length);
  }

  /** Whether anything has changed since the last commit. */
  get isDirty(): boolean {
    return this.#isDirty || this.#marked.length > 0;
  }

  /** Makes all changes since the last commit count, in one step. */
  commit(): void {
    if (this.#isFrozen || !this.#commitOnce()) return;
    this.#transaction++;
    this.makeRoom();
    this.#commitOnce();
    if (!this.#hasReplies) this.#compactIfDue();
  }

  /**
   * Commits nothing until `thaw`: while one daemon hands the mount over to another, either of them
   * may continue from the last commit.
   */
  freeze(): void {
    this.#isFrozen = true;
  }

  /** Uses the state alone from now on. The end that the other daemon has stored does not count. */
  thaw(): void {
    this.#isFrozen = false;
    this.journal.isShared = false;
    this.journal.layout.clearLeftReply();
    this.journal.commit();
    this.commit();
  }

  /** @returns whether there was anything to commit */
  #commitOnce(): boolean {
    const marked = this.#marked;
    if (marked.length > 0) {
      for (let i = 0; i < marked.length; i++) {
        marked[i].isMarked = false;
        marked[i].record(this.journal);
      }
      marked.length = 0;
      this.#isDirty = true;
    }
    if (!this.#isDirty) return false;
    this.#isDirty = false;
    this.journal.commit();
    return true;
  }

  /**
   * Begins a compaction if one is due. It keeps no replies, so it may end only after all of them
   * are sent.
   */
  #compactIfDue(): void {
    if (this.#isHolding || !this.journal.isDueForCompaction) return;
    this.compact();
  }

  /** Begins a compaction, between two transactions. */
  compact(): void {
    this.#compaction.begin(this.#all());
    this.onDue();
  }

  *#all(): Iterator<Recorded> {
    yield* this.#others;
    yield* this.living();
  }

  /** Notes that all replies of committed transactions are sent: none will be asked for again. */
  sent(): void {
    if (!this.#hasReplies || this.#isHolding) return;
    this.#hasReplies = false;
    this.journal.sent(this.#transaction - 1);
    if (this.#compaction.isUnderWay) {
      this.commit();
      if (!this.#isFrozen) this.#compaction.keepPace();
    } else if (this.journal.isEmptying) this.journal.emptySome();
    else if (!this.isDirty) this.#compactIfDue();
  }

  /**
   * Keeps the replies that the last daemon may not have sent, until `letGo`.
   * @param transaction the number of its last transaction
   */
  hold(transaction: number): void {
    this.#isHolding = true;
    this.#hasReplies = true;
    this.#transaction = Math.max(this.#transaction, transaction + 1);
  }

  /** Drops the replies of the last daemon: no request asks for them any more. */
  letGo(): void {
    this.#isHolding = false;
  }

  /**
   * Does a small part of a compaction, between two transactions, or gives memory of it back.
   * @returns whether it is done
   */
  step(): boolean {
    if (this.#isFrozen) return false;
    if (!this.#compaction.isUnderWay) return this.journal.emptySome();
    this.commit();
    this.#compaction.step();
    return !this.#compaction.isUnderWay && !this.journal.isEmptying;
  }
}
