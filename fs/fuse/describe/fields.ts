/**
 * Reads the fields of a request or reply in order, for the trace. A missing field becomes `?`;
 * nothing throws.
 */
import { quoted } from '../../shared/escape.js';
import { NAME_MAX } from '../../shared/kernel/name-max.js';

const TWO_32 = 2 ** 32;
/** The smallest upper half of a 64-bit number that JavaScript cannot hold exactly (2^53). */
const FIRST_INEXACT_HIGH = 2 ** 21;
/** The text for a missing field. */
export const MISSING = '?';

/** Flags by name, each with its bits. */
export type Flags = Readonly<Record<string, number>>;

/**
 * Formats a 64-bit number in decimal, or in hexadecimal if it is too large to be exact.
 *
 * @param low the lower 32 bits
 * @param high the upper 32 bits
 */
export function decimal(low: number, high: number): string {
  return high < FIRST_INEXACT_HIGH
    ? String(low + high * TWO_32)
    : `0x${high.toString(16)}${low.toString(16).padStart(8, '0')}`;
}

/**
 * Formats flags: the names of those that are set, and the other bits in hexadecimal.
 *
 * @returns the names joined by `|`; `0` if no bit is set
 */
export function flagNames(value: number, flags: Flags): string {
  const names: string[] = [];
  let rest = value >>> 0;
  for (const [name, bits] of Object.entries(flags)) {
    if (bits === 0 || (rest & bits) >>> 0 !== bits) continue;
    names.push(name);
    rest = (rest & ~bits) >>> 0;
  }
  if (rest !== 0) names.push(`0x${rest.toString(16)}`);
  return names.length === 0 ? '0' : names.join('|');
}

/**
 * A position in the bytes of a request or reply. Each method reads the next field and steps over
 * it.
 */
export class Fields {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;
  readonly #end: number;

  /**
   * @param start the offset of the first field, in bytes
   * @param end the offset behind the last field; `bytes` may be longer
   */
  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#at = start;
    this.#end = Math.min(end, bytes.length);
  }

  /** The number of bytes from the position to the end. */
  get rest(): number {
    return Math.max(0, this.#end - this.#at);
  }

  /** Steps over `bytes` bytes. */
  skip(bytes: number): this {
    this.#at += bytes;
    return this;
  }

  /**
   * Reads a u32.
   *
   * @returns undefined if the bytes end before it does
   */
  word(): number | undefined {
    const at = this.#at;
    this.#at += 4;
    return this.#at <= this.#end ? this.#view.getUint32(at, true) : undefined;
  }

  /** Reads a u32 as decimal text. */
  u32(): string {
    return String(this.word() ?? MISSING);
  }

  /** Reads a u64 as text, see {@link decimal}. */
  u64(): string {
    const low = this.word();
    const high = this.word();
    return low === undefined || high === undefined ? MISSING : decimal(low, high);
  }

  /** Reads a file mode, and returns it as octal text. */
  octal(): string {
    const value = this.word();
    return value === undefined ? MISSING : `0${value.toString(8)}`;
  }

  /** Reads a u32 of flags as text, see {@link flagNames}. */
  flags(names: Flags): string {
    const value = this.word();
    return value === undefined ? MISSING : flagNames(value, names);
  }

  /**
   * Reads a name that ends with a NUL, and returns it in quotation marks. If the NUL is missing,
   * `?` follows.
   */
  name(): string {
    const start = Math.min(this.#at, this.#end);
    const nul = this.#bytes.subarray(start, this.#end).indexOf(0);
    const isWhole = nul >= 0;
    const end = isWhole ? start + nul : this.#end;
    this.#at = end + 1;
    return `${this.#quoted(start, end)}${isWhole ? '' : MISSING}`;
  }

  /** Reads all bytes up to the end, and returns them in quotation marks. */
  text(): string {
    const start = Math.min(this.#at, this.#end);
    this.#at = this.#end;
    return this.#quoted(start, this.#end);
  }

  #quoted(start: number, end: number): string {
    const shown = Math.min(end, start + NAME_MAX);
    const { buffer, byteOffset } = this.#bytes;
    const text = quoted(Buffer.from(buffer, byteOffset + start, shown - start).toString('latin1'));
    return shown === end ? text : `${text}... (${end - start} bytes)`;
  }
}
