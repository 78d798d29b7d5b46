/**
 * Writes the journal: one record a change, with a checksum, in memory that outlives the process.
 *
 * A record is `kind and length, checksum, fields`, in 8-byte words. Nothing counts before `commit`,
 * which stores one number: so a crash at any instruction leaves what was committed, and no more.
 *
 * While the journal is compacted, each record goes to both halves of the memory. The other half
 * also gets one record of each thing that lives, and then takes over.
 */
import { UserError } from '../shared/errors.js';
import { checksumRecord } from './checksum.js';
import { FreedHalves } from './freed-halves.js';
import { type Fields, type FieldType, Kind, type KindName, SCHEMA } from './schema.js';
import { StateLayout, type StateMemory, type StateSizes } from './layout.js';
import { type Tail, tailOf } from './tail.js';

/** The room that each record has, in 8-byte words: a reply of 1 MiB and its fields. */
const ROOM_WORDS = (1024 * 1024 + 128 * 1024) / 8;
/** A text of more words, as of thousands of streams, may need more room than that. */
const LONG_WORDS = ROOM_WORDS / 16;
/** The journal asks for memory in pieces of this size, in bytes: 4 MiB take the kernel 1 ms. */
const PIECE_BYTES = 256 * 1024;
/** The least length of a half for a compaction, in 8-byte words. */
const LEAST_COMPACTED_WORDS = (4 * 1024 * 1024) / 8;
/** A drop has this bit in its kind. */
export const DROP_BIT = 0x80;
/** A length has 24 bits. */
export const LENGTH_MASK = 0xffffff;

/** The journal of one state. One record is written at a time: `begin`, the fields, `end`. */
export class Journal {
  readonly #numbers: Float64Array;
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #memory: StateMemory;
  #main: Tail;
  /** The half that is to take over; null while none is. */
  #next: Tail | null = null;
  readonly #freed: FreedHalves;
  /** The start of the record that is being written, and its end so far. */
  #start = 0;
  #at = 0;
  /**
   * The size of the half after the last compaction, in 8-byte words. 0 in a later daemon: daemons
   * that die often would otherwise never compact the journal.
   */
  #compacted = 0;
  /** Whether the memory is used up: then the state is void, and nothing is recorded any more. */
  #isLost = false;
  /** Whether another daemon may have to go on: then this one must not void the state. */
  isShared = false;
  /** Called when the memory is used up. */
  onLost: (why: string) => void = () => undefined;
  /** Called before each store that counts; a test kills the daemon there. */
  onStore: (() => void) | null = null;

  /** @param layout a state that is empty, or whose active half is to be continued */
  constructor(readonly layout: StateLayout) {
    const { bytes } = layout.memory;
    this.#memory = layout.memory;
    this.#bytes = bytes;
    const length = Math.floor(bytes.length / 8);
    this.#numbers = new Float64Array(bytes.buffer, bytes.byteOffset, length);
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, length * 2);
    this.#main = tailOf(layout, layout.active);
    this.#freed = new FreedHalves(layout, this.length === 0);
  }

  /**
   * Makes the journal of a new state.
   * @param memory all zeros
   */
  static create(memory: StateMemory, sizes: StateSizes): Journal {
    return new Journal(StateLayout.create(memory, sizes));
  }

  /** How many 8-byte words the records have. */
  get length(): number {
    return this.#main.at - this.#main.base;
  }

  /** Whether so many records are outdated that a compaction shall begin. */
  get isDueForCompaction(): boolean {
    if (this.#next !== null || this.#freed.isUnderWay || this.#isLost) return false;
    // The journal grows while it is compacted: a large one needs room for that
    const most = (this.#compacted + this.layout.sizes.half / 8) / 2;
    return this.length > Math.max(LEAST_COMPACTED_WORDS, Math.min(3 * this.#compacted, most));
  }

  /** Whether a compaction has begun and is not done. */
  get isCompacting(): boolean {
    return this.#next !== null;
  }

  // ---- records

  /** Begins a record of a kind: its number in the schema, with DROP_BIT for a drop. */
  begin(kind: number): this {
    if (this.#main.at + ROOM_WORDS > this.#main.reserved) this.#reserve(this.#main, ROOM_WORDS);
    const { at } = this.#main;
    this.onStore?.();
    this.#start = at;
    this.#at = at + 1;
    this.#words[2 * at] = kind << 24;
    return this;
  }

  /** Writes a number. */
  number(value: number): this {
    this.#numbers[this.#at++] = value;
    return this;
  }

  /** Writes a text: one byte a character. */
  text(value: string): this {
    const { length } = value;
    const start = this.#field(length) * 8;
    const bytes = this.#bytes;
    for (let i = 0; i < length; i++) bytes[start + i] = value.charCodeAt(i);
    return this;
  }

  /** Writes `length` bytes from `start` on. */
  bytes(from: Uint8Array, start: number, length: number): this {
    const at = this.#field(length) * 8;
    if (length === 0) return this;
    const isAll = start === 0 && length === from.length;
    this.#bytes.set(isAll ? from : from.subarray(start, start + length), at);
    return this;
  }

  /** Writes the first `count` numbers of `from` as bytes, 4 each. */
  integers(from: Int32Array, count: number): this {
    const start = this.#field(4 * count) * 2;
    const words = this.#words;
    for (let i = 0; i < count; i++) words[start + i] = from[i];
    return this;
  }

  /**
   * Begins a field of `length` bytes, whose last word is padded with zeros.
   * @returns where the bytes go, in 8-byte words
   */
  #field(length: number): number {
    this.#numbers[this.#at++] = length;
    const words = (length + 7) >>> 3;
    if (words > LONG_WORDS) this.#makeRoom(words);
    const start = this.#at;
    if (words > 0) this.#numbers[start + words - 1] = 0;
    this.#at = start + words;
    return start;
  }

  /** Writes a whole record. The hot path writes its fields by itself. */
  put<K extends KindName>(kind: K, values: Fields<K>): void {
    this.begin(Kind[kind]);
    const types: Readonly<Record<string, FieldType>> = SCHEMA[kind].fields;
    const all: Readonly<Record<string, unknown>> = values;
    for (const field in types) {
      const value = all[field];
      if (types[field] === 'number') this.number(value as number);
      else if (types[field] === 'text') this.text(value as string);
      else this.bytes(value as Uint8Array, 0, (value as Uint8Array).length);
    }
    this.end();
  }

  /** Ends the record. It counts from the next `commit` on. */
  end(): void {
    const start = this.#start;
    const words = this.#words;
    words[2 * start] |= this.#at - start;
    words[2 * start + 1] = checksumRecord(words, 2 * start, 2 * this.#at);
    this.#main.at = this.#at;
    if (this.#next !== null) this.#copyTo(this.#next, start, this.#at);
  }

  /** Makes room for a long field, and for a record's other fields. */
  #makeRoom(words: number): void {
    const main = this.#main;
    const wanted = this.#at - main.at + words + ROOM_WORDS;
    if (main.at + wanted <= main.reserved) return;
    this.#reserve(main, wanted);
    if (this.#start === main.at) return;
    this.#start = main.at; // the state is lost: nothing that is written counts
    this.#at = main.at + 1;
  }

  #copyTo(tail: Tail, start: number, end: number): void {
    const wanted = Math.max(ROOM_WORDS, end - start);
    if (tail.at + wanted > tail.reserved) this.#reserve(tail, wanted);
    this.#numbers.copyWithin(tail.at, start, end);
    tail.at += end - start;
  }

  /** Makes all records since the last commit count. */
  commit(): void {
    this.onStore?.();
    if (!this.#isLost) this.layout.commit(this.#main.half, this.length);
  }

  /** Notes that the replies of all transactions up to this one are sent. */
  sent(transaction: number): void {
    this.onStore?.();
    this.layout.sent = transaction;
  }

  // ---- compaction

  /** Begins a compaction. All that was written must be committed. */
  beginCompaction(): void {
    const half = this.#main.half === 0 ? 1 : 0;
    this.#freed.stop();
    this.layout.commit(half, 0);
    this.#next = tailOf(this.layout, half);
  }

  /**
   * Writes the records of a thing that lives, for the compaction only.
   * @param write writes them
   */
  keep(write: () => void): void {
    const main = this.#main;
    this.#main = this.#next!;
    this.#next = null;
    try {
      write();
    } finally {
      this.#next = this.#main;
      this.#main = main;
    }
  }

  /** Ends the compaction: the other half takes over, in one step. */
  endCompaction(): void {
    const [old, next] = [this.#main, this.#next!];
    if (this.#isLost) {
      this.#next = null;
      return;
    }
    this.layout.commit(next.half, next.at - next.base);
    this.onStore?.();
    this.layout.active = next.half;
    this.#main = next;
    this.#next = null;
    this.#compacted = this.length;
    this.#freed.begin(old.half);
  }

  /** Whether memory of the last compaction is to be freed. */
  get isEmptying(): boolean {
    return this.#freed.isUnderWay;
  }

  /**
   * Frees some memory of the other half.
   * @returns whether all of it is free
   */
  emptySome(): boolean {
    return this.#freed.freeSome();
  }

  /**
   * Makes sure that a half can be written.
   * @param words how many 8-byte words more than it has
   */
  #reserve(tail: Tail, words: number): void {
    const end = tail.base + this.layout.sizes.half / 8;
    const wanted = Math.min(end, tail.at + words + PIECE_BYTES / 8);
    if (tail.at + words > end) this.#lose(tail, 'its journal has no room left');
    else if (!this.#memory.reserve(tail.reserved * 8, (wanted - tail.reserved) * 8))
      this.#lose(tail, 'the machine has no memory left for it');
    else {
      tail.reserved = wanted;
      this.#freed.grown(tail.half, (wanted - tail.base) * 8);
    }
  }

  /**
   * Drops the state: the daemon serves, and a later one begins anew. Records go to the beginning
   * of the half from now on, and never count.
   * @throws UserError if another daemon may have to go on with the state
   */
  #lose(tail: Tail, why: string): void {
    if (this.isShared) throw new UserError(`the state can't be taken over: ${why}`);
    if (!this.#isLost) {
      this.#isLost = true;
      this.layout.invalidate();
      this.onLost(why);
    }
    tail.at = tail.base;
  }
}
