/** Reads a journal: the last record of each thing. */
import { checksumRecord } from './checksum.js';
import { DROP_BIT, LENGTH_MASK } from './journal.js';
import { type StateLayout, refused } from './layout.js';
import { type Fields, type FieldType, KIND_NAMES, type KindName, SCHEMA } from './schema.js';

/** The longest text that is read character by character. */
const MOST_SHORT = 16;

/** Where a record is, in 8-byte words. */
type Place = number;

const BYTES_A_WORD = 8;
/** The size of the number of one more open file, in bytes. */
const BYTES_OF_OTHER = 4;
/** The place of the field `rest` in the record of a cursor, in 8-byte words. */
const CURSOR_REST = 6;
/** The places of the fields of a link. */
const LINK_POSITION = 2;
const LINK_INO = 3;
const LINK_NAME = 4;

/** The record of an entry, without its directory. */
type LinkRecord = Omit<Fields<'link'>, 'directory'>;

/** All things that a state has. */
export class StateTable {
  readonly #numbers: Float64Array;
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;
  /** By kind, by key. A kind with two keys has a map of maps. */
  readonly #places = new Map<KindName, Map<number, Place | Map<number, Place>>>();

  /**
   * Reads the active half of a journal.
   * @throws UserError if a record is damaged, or of a kind that this version does not know
   */
  constructor(layout: StateLayout) {
    const { bytes } = layout.memory;
    const length = Math.floor(bytes.length / 8);
    this.#numbers = new Float64Array(bytes.buffer, bytes.byteOffset, length);
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, length * 2);
    this.#bytes = bytes;
    const { active } = layout;
    const base = layout.halves[active] / 8;
    const end = base + layout.committed(active);
    for (let at = base; at < end;) at += this.#take(at, end);
  }

  /** Notes the record at a place, and returns its length. */
  #take(at: Place, end: Place): number {
    const words = this.#words;
    const head = words[2 * at];
    const length = head & LENGTH_MASK;
    if (length === 0 || at + length > end) throw refused('a record of its journal has no end');
    if (checksumRecord(words, 2 * at, 2 * (at + length)) !== words[2 * at + 1])
      throw refused('a record of its journal is damaged');
    const kind = head >>> 24;
    const name = KIND_NAMES[kind & ~DROP_BIT];
    if (name === undefined) throw refused(`this version does not know records of kind ${kind}`);
    this.#note(name, at, (kind & DROP_BIT) !== 0);
    return length;
  }

  #note(name: KindName, at: Place, isDrop: boolean): void {
    let places = this.#places.get(name);
    if (places === undefined)
      this.#places.set(name, (places = new Map<number, Place | Map<number, Place>>()));
    const { keys } = SCHEMA[name];
    const key = keys === 0 ? 0 : this.#numbers[at + 1];
    if (keys < 2) {
      if (isDrop) places.delete(key);
      else places.set(key, at);
      if (name === 'cursor' && !isDrop) this.#noteOthers(places, at);
      return;
    }
    let inner = places.get(key) as Map<number, Place> | undefined;
    if (inner === undefined) places.set(key, (inner = new Map<number, Place>()));
    if (isDrop) inner.delete(this.#numbers[at + 2]);
    else inner.set(this.#numbers[at + 2], at);
  }

  /** Notes the record of a cursor for the other cursors that it is a record of. */
  #noteOthers(places: Map<number, Place | Map<number, Place>>, at: Place): void {
    const numbers = this.#numbers;
    const rest = at + CURSOR_REST;
    const others = rest + 1 + ((numbers[rest] + 7) >>> 3);
    const first = 2 * (others + 1);
    const end = first + numbers[others] / BYTES_OF_OTHER;
    for (let other = first; other < end; other++) places.set(this.#words[other], at);
  }

  /** Returns the last record of a thing, or undefined if there is none. */
  get<K extends KindName>(name: K, key = 0): Fields<K> | undefined {
    const place = this.#places.get(name)?.get(key);
    return typeof place === 'number' ? this.#decode(name, place) : undefined;
  }

  /**
   * Iterates over the records of all things of a kind with one key. A `cursor` may be the record of
   * another open file that has the same place.
   */
  *all<K extends KindName>(name: K): IterableIterator<Fields<K>> {
    for (const place of this.#places.get(name)?.values() ?? [])
      if (typeof place === 'number') yield this.#decode(name, place);
  }

  /** Iterates over the first keys of all things of a kind. */
  keys(name: KindName): Iterable<number> {
    return this.#places.get(name)?.keys() ?? [];
  }

  /**
   * Returns the entries of a directory in the order of their positions. A state has more of them
   * than of all else, and clients wait: so this does without the schema.
   */
  links(directory: number): LinkRecord[] {
    const inner = this.#places.get('link')?.get(directory);
    const links: LinkRecord[] = [];
    if (!(inner instanceof Map)) return links;
    const numbers = this.#numbers;
    let last = -Infinity;
    let isSorted = true;
    for (const place of inner.values()) {
      const position = numbers[place + LINK_POSITION];
      const length = numbers[place + LINK_NAME];
      const name = length === 0 ? '' : this.#text((place + LINK_NAME + 1) * BYTES_A_WORD, length);
      const node = numbers[place + LINK_NAME + 1 + ((length + 7) >>> 3)];
      links.push({ position, ino: numbers[place + LINK_INO], name, node });
      isSorted &&= position > last;
      last = position;
    }
    return isSorted ? links : links.sort((a, b) => a.position - b.position);
  }

  /** Most texts are short names, for which a buffer costs more than the characters. */
  #text(start: number, length: number): string {
    if (length > MOST_SHORT)
      return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + start, length).toString(
        'latin1',
      );
    let text = '';
    for (let at = start; at < start + length; at++) text += String.fromCharCode(this.#bytes[at]);
    return text;
  }

  /** Decodes a record. The bytes of a `text` are those of the state: the caller copies them. */
  #decode<K extends KindName>(name: K, place: Place): Fields<K> {
    const fields: Record<string, number | string | Uint8Array> = {};
    let at = place + 1;
    const types: Readonly<Record<string, FieldType>> = SCHEMA[name].fields;
    for (const field in types) {
      const value = this.#numbers[at++];
      if (types[field] === 'number') {
        fields[field] = value;
        continue;
      }
      const start = at * 8;
      at += (value + 7) >>> 3;
      if (types[field] === 'text') fields[field] = this.#text(start, value);
      else if (name === 'text') fields[field] = this.#bytes.subarray(start, start + value);
      else fields[field] = new Uint8Array(this.#bytes.subarray(start, start + value));
    }
    return fields as Fields<K>;
  }
}
