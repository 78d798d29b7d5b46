/** Reads a queue as a stream: one event after the other, with a record for each loss. */
import type { LogIndex } from '../event.js';
import type { Entry, Queue } from '../queue.js';
import { PartialRecord, overflowRecord } from './record.js';
import type { Journal } from '../../state/journal.js';
import { type Fields, Kind } from '../../state/schema.js';
import type { Sink } from '../sink.js';

const NO_OTHERS = new Uint8Array(0);

/** One open `.stream`. It takes events off the queue, so each event goes to one reader only. */
export class QueueReader {
  readonly #rest = new PartialRecord();

  /** @param queue the queue of the stream's directory */
  constructor(readonly queue: Queue<Entry>) {}

  /** How many bytes are kept of a record whose beginning the reader has. */
  get restLength(): number {
    return this.#rest.length;
  }

  /**
   * Records the rest.
   * @param fh the number of the open file, which is the key of the record
   */
  record(journal: Journal, fh: number): void {
    journal.begin(Kind.cursor).number(fh).number(0).number(0).number(0).number(0);
    this.#rest.record(journal).bytes(NO_OTHERS, 0, 0).end();
  }

  /** Restores the rest of a record that the last daemon has noted. */
  restore({ rest }: Fields<'cursor'>): void {
    this.#rest.restore(rest);
  }

  /** Whether `read` would put any bytes. */
  get ready(): boolean {
    return (
      this.#rest.waiting || this.queue.losses.untold > 0 || this.queue.firstComplete() !== undefined
    );
  }

  /**
   * Returns whether the next event has a number of at least `number`, and neither the rest of a
   * record nor a loss comes before it.
   */
  isFrom(number: LogIndex): boolean {
    const next = this.queue.firstComplete();
    return (
      !this.#rest.waiting &&
      this.queue.losses.untold === 0 &&
      next !== undefined &&
      next.event.number >= number
    );
  }

  /**
   * Takes events off the queue and puts their records. All records are whole but the first, which
   * may be cut: the next read begins with its rest.
   * @param sink the reader's buffer
   * @param most how many events to take
   */
  read(sink: Sink, most = Infinity): void {
    const { queue } = this;
    const roomAtFirst = sink.room;
    if (!this.#rest.finish(sink)) return;
    for (let taken = 0; taken < most && sink.room > 0; taken++) {
      const entry = queue.firstComplete();
      if (queue.losses.untold > 0 && !this.#tellLoss(sink, roomAtFirst, entry)) return;
      if (entry === undefined || sink.room === 0) return;
      const { bytes, start, recordLength } = entry.event;
      if (recordLength > sink.room && sink.room !== roomAtFirst) return;
      const whole = this.#rest.put(sink, bytes, start, recordLength);
      queue.drop(entry.name);
      if (!whole) return;
    }
  }

  /**
   * Puts an overflow record if events are missing before `next`.
   * @param sink the reader's buffer
   * @param roomAtFirst the room with which the read began, in bytes
   * @param next the next entry, or undefined if there is none
   * @returns false if there is no room for more
   */
  #tellLoss(sink: Sink, roomAtFirst: number, next: Entry | undefined): boolean {
    const { losses, entries } = this.queue;
    const position = next === undefined ? Infinity : entries.positionOf(next.name);
    const lost = losses.before(position);
    if (lost === 0) return true;
    const record = overflowRecord(lost);
    if (record.length > sink.room && sink.room !== roomAtFirst) return false;
    losses.tell(position);
    return this.#rest.put(sink, record, 0, record.length);
  }
}
