/** The events of the last daemon. Each is made when the first entry or open file asks for it. */
import { Event, type LogIndex } from '../../bus/event.js';
import type { Log } from '../../bus/log.js';
import { refused } from '../../state/layout.js';
import type { Recorder } from '../../state/recorder.js';
import type { Fields } from '../../state/schema.js';
import { timeOf } from '../../state/times.js';
import type { StateTable } from '../../state/table.js';
import type { QuotaLedger } from '../quota/ledger.js';
import { WrittenEvent } from '../written/written-event.js';

/** An event of the ring, with what came before it. */
interface RingEvent {
  readonly event: Event;
  readonly seqnumBefore: number;
  readonly weightBefore: number;
}

/** The events of one state, by inode number. */
export class RestoredEvents {
  readonly #events = new Map<number, Event>();
  readonly #written: WrittenEvent[] = [];
  /** The events of the ring, oldest first. */
  #ring: readonly RingEvent[] = [];
  /** The inode numbers of the others, by number; null until a caller asks by number. */
  #inodes: ReadonlyMap<number, number> | null = null;
  /** The records of the events that are not in the ring, and that no caller has asked for. */
  readonly #others = new Map<number, Fields<'event'>>();

  constructor(
    private readonly table: StateTable,
    private readonly log: Log,
    private readonly ledger: QuotaLedger,
    private readonly recorder: Recorder,
  ) {}

  /**
   * Returns the event with an inode number.
   * @throws UserError if the state has no such event, or not its text
   */
  get(ino: number): Event {
    const known = this.#events.get(ino);
    if (known !== undefined) return known;
    const fields = this.#others.get(ino) ?? this.table.get('event', ino);
    const event = fields === undefined ? this.#makeWritten(ino) : this.#makeDelivered(fields);
    this.#events.set(ino, event);
    return event;
  }

  /**
   * Returns a delivered event by its number in the log. `ring` must have been called.
   * @throws UserError if the state has no such event, or not its text
   */
  numbered(number: number): Event {
    const { log } = this;
    if (number >= log.oldest && number < log.next) return this.#ring[number - log.oldest].event;
    this.#inodes ??= new Map([...this.#others.values()].map((one) => [one.number, one.ino]));
    const ino = this.#inodes.get(number);
    if (ino === undefined) throw refused(`event ${number} of log/ is missing`);
    return this.get(ino);
  }

  /**
   * Makes the events that the ring has, oldest first.
   * @param oldest the number of the first
   * @param next the number behind the last
   * @throws UserError if one is missing, or its text is damaged
   */
  ring(oldest: number, next: number): RingEvent[] {
    const { log } = this;
    const found: RingEvent[] = [];
    for (const fields of this.table.all('event')) {
      if (fields.number < oldest || fields.number >= next) {
        this.#others.set(fields.ino, fields);
        continue;
      }
      const { start, length } = fields;
      if (start + length >= log.memory.length) throw refused(`event ${fields.name} has no place`);
      const event = this.#event(fields, log.memory, start, length);
      if (log.checksumOf(event) !== fields.checksum)
        throw refused(`the text of event ${fields.name} is damaged`);
      this.#events.set(fields.ino, event);
      const { seqnumBefore, weightBefore } = fields;
      found.push({ event, seqnumBefore, weightBefore });
    }
    found.sort((a, b) => a.event.number - b.event.number);
    found.forEach(({ event }, at) => {
      if (event.number !== oldest + at) throw refused(`event ${oldest + at} of the log is missing`);
    });
    if (found.length !== next - oldest) throw refused('events of the log are missing');
    this.#ring = found;
    return found;
  }

  /**
   * Restores the times and charges of the written events, after all entries and open files: a new
   * link changes them.
   */
  finish(): void {
    for (const event of this.#written) {
      const state = this.table.get('written', event.ino)!;
      const keeper =
        state.keeperUid < 0 || event.links > 0
          ? null
          : this.ledger.account(state.keeperUid, state.keeperGid);
      event.restore(
        timeOf(state, 'accessed'),
        timeOf(state, 'modified'),
        timeOf(state, 'changed'),
        keeper,
      );
    }
  }

  #makeDelivered(fields: Fields<'event'>): Event {
    const event = this.#event(fields, new Uint8Array(1), 0, 0);
    this.#addText(event);
    return event;
  }

  #event(fields: Fields<'event'>, bytes: Uint8Array, start: number, length: number): Event {
    const { name, ino, number, sec, nsec } = fields;
    const event = new Event(name, ino, number as LogIndex, bytes, start, length, { sec, nsec });
    event.weight = fields.weight;
    event.always = fields.always === 1;
    event.isUnique = fields.isUnique === 1;
    event.sourceId = fields.source;
    return event;
  }

  #makeWritten(ino: number): WrittenEvent {
    const state = this.table.get('written', ino);
    if (state === undefined) throw refused(`event ${ino} is missing`);
    const { name, mode, uid, gid } = state;
    const event = new WrittenEvent(this.log.arena, name, ino, mode, uid, gid, this.recorder);
    event.sourceId = state.madeBy;
    this.#addText(event);
    this.#written.push(event);
    return event;
  }

  #addText(event: Event): void {
    const text = this.table.get('text', event.ino);
    if (text !== undefined) event.restoreText(this.log.arena, text.bytes);
    else if (!(event instanceof WrittenEvent))
      throw refused(`the text of event ${event.name} is missing`);
  }
}
