/**
 * The memory of the state: one mapping that the guardian keeps when the daemon dies.
 *
 *   header page (its second half: left-reply.ts) | schema | ring of the log
 *   | mailbox of the sources | journal half 0 | half 1
 *
 * The memory is sparse: a page costs nothing until it is written to.
 */
import { UserError } from '../shared/errors.js';
import { checked, uncheck } from './checksum.js';
import { LeftReply } from './left-reply.js';
import { schemaText } from './schema.js';
import { ServingWord } from './serving-word.js';

/** The memory, and what the journal asks of the file behind it. */
export interface StateMemory {
  readonly bytes: Uint8Array;
  /**
   * Makes sure that a range can be written.
   * @param start in bytes
   * @param length in bytes
   * @returns false if the machine has no memory for it
   */
  reserve(start: number, length: number): boolean;
  /** Frees the memory of a range, which then reads as zeros. */
  discard(start: number, length: number): void;
}

/** The sizes of the parts, in bytes. */
export interface StateSizes {
  readonly ring: number;
  readonly mailbox: number;
  readonly half: number;
}

const PAGE = 4096;
const SCHEMA_BYTES = 2 * PAGE;
/** The first number of the header: `eventfs` and a version of the format, as characters. */
const MAGIC = 'eventfs1';

/** The numbers of the header, by their place in it. The first is the magic. */
const Place = {
  ring: 1,
  mailbox: 2,
  half: 3,
  schema: 4,
  active: 5,
  committed: 6,
  sent: 8,
} as const;
/**
 * Number 10 is the word of serving-word.ts. The numbers from here on have no check: a wrong one
 * does no harm.
 */
const READ_AGES = 16;
const READ_AGES_END = 80;

/** Makes a memory of the heap, for tests. */
export function heapMemory(bytes: number): StateMemory {
  return { bytes: new Uint8Array(bytes), reserve: () => true, discard: () => undefined };
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / PAGE) * PAGE;
}

/** The parts of one state, and its header. */
export class StateLayout {
  readonly #numbers: Float64Array;
  readonly ring: Uint8Array;
  readonly mailbox: Uint8Array;
  /** How old parked reads are (fs/drivers/devfuse/hand-over/read-ages.ts). */
  readonly readAges: Float64Array;
  readonly #leftReply: LeftReply;
  /** Tells which of two daemons serves. */
  readonly serving: ServingWord;
  /** The offsets of the two halves of the journal, in bytes. */
  readonly halves: readonly [number, number];

  /** @param memory at least as large as `StateLayout.bytes(sizes)` */
  private constructor(
    readonly memory: StateMemory,
    readonly sizes: StateSizes,
  ) {
    const { bytes } = memory;
    const ringStart = PAGE + SCHEMA_BYTES;
    const mailboxStart = ringStart + roundUp(sizes.ring);
    const first = mailboxStart + roundUp(sizes.mailbox);
    this.#numbers = new Float64Array(bytes.buffer, bytes.byteOffset, PAGE / 8);
    this.readAges = this.#numbers.subarray(READ_AGES, READ_AGES_END);
    this.#leftReply = new LeftReply(bytes);
    this.serving = new ServingWord(bytes);
    this.ring = bytes.subarray(ringStart, ringStart + sizes.ring);
    this.mailbox = bytes.subarray(mailboxStart, mailboxStart + sizes.mailbox);
    this.halves = [first, first + sizes.half];
  }

  /** Returns the size of a state's memory, in bytes. */
  static bytes({ ring, mailbox, half }: StateSizes): number {
    return PAGE + SCHEMA_BYTES + roundUp(ring) + roundUp(mailbox) + 2 * half;
  }

  /** Begins a state in memory that is all zeros. */
  static create(memory: StateMemory, sizes: StateSizes): StateLayout {
    const layout = new StateLayout(memory, sizes);
    const numbers = layout.#numbers;
    const schema = Buffer.from(schemaText(), 'latin1');
    if (schema.length > SCHEMA_BYTES) throw new RangeError('the schema exceeds its pages');
    memory.bytes.set(schema, PAGE);
    numbers[Place.ring] = checked(sizes.ring);
    numbers[Place.mailbox] = checked(sizes.mailbox);
    numbers[Place.half] = checked(sizes.half);
    numbers[Place.schema] = checked(schema.length);
    numbers[Place.active] = checked(0);
    for (const half of [0, 1]) numbers[Place.committed + half] = checked(0);
    numbers[Place.sent] = checked(0);
    memory.bytes.set(Buffer.from(MAGIC, 'latin1')); // last: now it is a state
    return layout;
  }

  /**
   * Opens a state that another daemon has left.
   * @throws UserError if it is not a state, is damaged, or is of another version
   */
  static open(memory: StateMemory): StateLayout {
    const { bytes } = memory;
    if (bytes.length < PAGE + SCHEMA_BYTES) throw refused('it is too short');
    if (Buffer.from(bytes.subarray(0, MAGIC.length)).toString('latin1') !== MAGIC)
      throw refused('it does not begin with the mark of this version');
    const numbers = new Float64Array(bytes.buffer, bytes.byteOffset, PAGE / 8);
    const at = (place: number): number => {
      const value = uncheck(numbers[place]);
      if (value < 0) throw refused(`number ${place} of its header is damaged`);
      return value;
    };
    const sizes = { ring: at(Place.ring), mailbox: at(Place.mailbox), half: at(Place.half) };
    if (StateLayout.bytes(sizes) > bytes.length) throw refused('it is truncated');
    checkSchema(bytes, at(Place.schema));
    at(Place.sent);
    return new StateLayout(memory, sizes);
  }

  #read(place: number): number {
    const value = uncheck(this.#numbers[place]);
    if (value < 0) throw refused(`number ${place} of its header is damaged`);
    return value;
  }

  /** The half that counts, 0 or 1. */
  get active(): 0 | 1 {
    const half = this.#read(Place.active);
    if (half > 1) throw refused('it has no active half');
    return half as 0 | 1;
  }

  set active(half: 0 | 1) {
    this.#numbers[Place.active] = checked(half);
  }

  /** Returns how many 8-byte words of a half are committed. */
  committed(half: 0 | 1): number {
    const words = this.#read(Place.committed + half);
    if (words * 8 > this.sizes.half) throw refused('its journal exceeds its memory');
    return words;
  }

  /** Commits the first `words` 8-byte words of a half, in one step. */
  commit(half: 0 | 1, words: number): void {
    this.#numbers[Place.committed + half] = checked(words);
  }

  /** The number of the last transaction whose replies are all sent. */
  get sent(): number {
    return this.#read(Place.sent);
  }

  set sent(transaction: number) {
    this.#numbers[Place.sent] = checked(transaction);
  }

  /**
   * Leaves a reply that opens a file to the next daemon, just before its commit.
   * @param reply begins with the reply
   * @param length in bytes
   */
  leave(reply: Uint8Array, length: number): void {
    this.#leftReply.put(reply, length, (Place.committed + this.active) * 8);
  }

  /** The reply that the last daemon has committed and maybe not sent; null if there is none. */
  get leftReply(): Uint8Array | null {
    return this.#leftReply.get();
  }

  /** Removes the reply of the last daemon, before the first commit of this one. */
  clearLeftReply(): void {
    this.#leftReply.clear();
  }

  /** Makes the state unusable, so that no later daemon takes it up. */
  invalidate(): void {
    this.memory.bytes.fill(0, 0, MAGIC.length);
  }
}

/** Returns the error for a state that the daemon does not take up. */
export function refused(why: string): UserError {
  return new UserError(
    `the state of the last daemon is refused: ${why} (unmount and mount again to begin anew)`,
  );
}

/** @throws UserError if the state's schema is not the one of this daemon */
function checkSchema(bytes: Uint8Array, length: number): void {
  if (length > SCHEMA_BYTES) throw refused('its schema is damaged');
  const found = Buffer.from(bytes.subarray(PAGE, PAGE + length)).toString('latin1');
  const own = schemaText();
  if (found === own) return;
  const known = new Set(own.split(/\s+/));
  const unknown = found.split(/\s+/).find((word) => !known.has(word));
  throw refused(
    unknown === undefined
      ? 'its schema is that of another version'
      : `this version does not know ${JSON.stringify(unknown.slice(0, 60))} in it`,
  );
}
