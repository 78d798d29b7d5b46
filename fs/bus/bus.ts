/**
 * The bus: every event goes through here once, from whatever source into the log and on to every outlet.
 *
 *   source --publish--> log.append --take--> outlets (the tree is one) ... --settle--> blocked readers are answered
 *
 * A source publishes all that it has and then settles once, so that a reader that wakes finds the whole batch.
 */
import { SeqnumIndex } from './seqnum-index.js';
import { type Event, type LogIndex, now } from './event.js';
import type { Log } from './log.js';
import type { IdAllocator } from '../shared/id-allocator.js';
import { type Entry, Queue, type QueueLimits } from './queue.js';
import { NO_SEQNUM, type SeqNum, type UeventText, overflowText } from '../uevent/text.js';

/** What gets every event: the tree, and each outlet. */
export interface BusListener {
  /** An event has come. */
  take(event: Event): void;
  /** That is all for now: tell some of those who wait. True when there are more of them. */
  settle(): boolean;
}

/** What `log/` keeps (docs/design.md, section 3). */
export const HISTORY_LIMITS: QueueLimits = { events: 1024, bytes: 1024 * 1024 };

export class Bus {
  readonly #listeners: BusListener[] = [];
  /** The last events by name: what `log/` shows, and what late joiners ask for. Always younger than the ring. */
  readonly history: Queue<Entry>;
  readonly #seqnums = new SeqnumIndex();
  #lastSeqnum = 0 as SeqNum;
  /** Events so far, by where they came from; `cut`: records that were not published, because their writer ended in the middle. */
  readonly counted = { kernel: 0, udev: 0, published: 0, cut: 0 };
  /** How many events the sources have lost. */
  lost = 0;
  /** Has `settleSome` called soon; null where no driver is attached. */
  #settleSoon: (() => void) | null = null;
  #numberless = 0;
  /** The highest SEQNUM that an event was called by, and whether one had to be called `<name>.<n>` because its name was taken. */
  #highest = 0;
  #hasRenamed = false;

  constructor(
    readonly log: Log,
    readonly inodes: IdAllocator,
    historyLimits: QueueLimits = HISTORY_LIMITS,
  ) {
    this.history = new Queue(historyLimits);
  }

  /** Every event from now on goes to the listener too. */
  attach(listener: BusListener): void {
    this.#listeners.push(listener);
  }

  /** No event goes to the listener any more. */
  detach(listener: BusListener): void {
    this.#listeners.splice(this.#listeners.indexOf(listener), 1);
  }

  /** A driver is there: it calls `settleSome` soon after `settleSoon` was called. */
  settleBy(settleSoon: () => void): void {
    this.#settleSoon = settleSoon;
  }

  /** Other limits for what `log/` keeps, from the next event on. */
  setHistoryLimits(limits: QueueLimits): void {
    this.history.limits = limits;
  }

  /** A source begins: the kernel's last SEQNUM so far. */
  beginAfter(seqnum: SeqNum): void {
    this.#lastSeqnum = seqnum;
  }

  /** The kernel's last SEQNUM: events without their own are numbered behind it. */
  get lastSeqnum(): SeqNum {
    return this.#lastSeqnum;
  }

  /** An event of the kernel's. */
  publishKernel(text: UeventText): void {
    this.counted.kernel++;
    this.#publishNumbered(text);
  }

  /** An event of udevd's. It has the SEQNUM of the kernel's that it was made of. */
  publishUdev(text: UeventText): void {
    this.counted.udev++;
    this.#publishNumbered(text);
  }

  #publishNumbered(text: UeventText): void {
    this.#appendText(text);
    if (!(text.seqnum > this.#lastSeqnum)) return; // or it has none: NaN
    this.#lastSeqnum = text.seqnum;
    this.#numberless = 0;
  }

  /** An event of a program's. */
  publish(text: UeventText): void {
    this.counted.published++;
    this.#appendText(text);
  }

  /** A source has lost `count` events: every queue is told. */
  publishLoss(count: number): void {
    this.lost += count;
    const text = overflowText(count);
    this.#append(this.#nameless(), text, text.length, NO_SEQNUM, count);
  }

  /** The sources have nothing more for now: whoever waits is told. */
  settle(): void {
    while (this.#settleRound());
  }

  /** As `settle`, but some of those who wait at a time, with other requests in between, which may bring more events. */
  settleSome(): void {
    if (this.#settleRound()) this.settleLater();
  }

  /** As `settleSome`, once whoever is being served has its reply and goes on. */
  settleLater(): void {
    if (this.#settleSoon === null) this.settle();
    else this.#settleSoon();
  }

  /**
   * What has come after the kernel's event `seqnum`, but not what came after its later event `last` or has the number `end`
   * or a higher one: the events that are kept, how many there were before them that are not, and the number that all begin with.
   */
  since(
    seqnum: SeqNum,
    last: SeqNum,
    end: LogIndex,
  ): { readonly first: LogIndex; readonly events: readonly Event[]; readonly lost: number } {
    const named = this.history.entries.get(String(seqnum))?.event;
    const after =
      named === undefined
        ? this.#seqnums.after(seqnum, last, this.#lastSeqnum)
        : { number: (named.number + 1) as LogIndex, unknown: 0 };
    const first = Math.min(after.number, end) as LogIndex;
    const kept = [...this.history.entries].map(({ event }) => event);
    const oldest = Math.max(first, Math.min(end, kept[0]?.number ?? end)) as LogIndex;
    return {
      first,
      events: kept.filter(({ number }) => number >= first && number < end),
      lost: after.unknown + this.log.weightBefore(oldest) - this.log.weightBefore(first),
    };
  }

  #settleRound(): boolean {
    let more = false;
    for (const listener of this.#listeners) more = listener.settle() || more;
    return more;
  }

  /** Whether nothing can be called so yet: a SEQNUM above all others, or what `#nameless` gives while all names were of these two kinds. */
  #isNew(seqnum: SeqNum): boolean {
    if (Number.isNaN(seqnum)) return !this.#hasRenamed;
    if (seqnum <= this.#highest) return false;
    this.#highest = seqnum;
    return true;
  }

  #freeName(wanted: string): string {
    const name = this.history.freeName(wanted);
    if (name !== wanted) this.#hasRenamed = true;
    return name;
  }

  #nameless(): string {
    return `${this.#lastSeqnum}.${++this.#numberless}`;
  }

  #appendText({ seqnum, bytes, length }: UeventText): void {
    this.#append(Number.isNaN(seqnum) ? this.#nameless() : String(seqnum), bytes, length, seqnum);
  }

  /** @param lost how many lost events it tells of, 0 for an event */
  #append(wanted: string, text: Uint8Array, length: number, seqnum: SeqNum, lost = 0): void {
    const isUnique = this.#isNew(seqnum);
    const name = isUnique ? wanted : this.#freeName(wanted);
    const event = this.log.append(name, this.inodes.next(), text, length, now(), Math.max(1, lost));
    event.always = lost > 0;
    event.isUnique = isUnique;
    this.#seqnums.note(event.number, this.#lastSeqnum, lost > 0);
    this.history.add(event);
    for (const listener of this.#listeners) listener.take(event);
    event.dropCaches();
  }
}
