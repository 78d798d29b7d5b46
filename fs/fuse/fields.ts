/** The fields of a request or a reply, read one after the other for the trace: what is not there is said, and nothing throws. */
import { quoted } from '../shared/escape.js';

const TWO_32 = 2 ** 32;
/** From here on a number of 64 bits is no whole number to JavaScript. */
const FIRST_INEXACT_HIGH = 2 ** 21;
/** The longest name that is shown whole, in bytes: as long as names of directories get. */
const MOST_NAME_BYTES = 255;
/** What stands for a field that is not there. */
export const MISSING = '?';

/** A flag's name and its bits. */
export type Flags = Readonly<Record<string, number>>;

/** A number of 64 bits as people write it. Hexadecimal where it is too large to be exact. */
export function decimal(low: number, high: number): string {
  return high < FIRST_INEXACT_HIGH
    ? String(low + high * TWO_32)
    : `0x${high.toString(16)}${low.toString(16).padStart(8, '0')}`;
}

/** The names of the flags that are set, and what has no name in hexadecimal; `0` for none. */
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

export class Fields {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;
  readonly #end: number;

  /** @param start where the fields begin @param end where they end: the memory may be longer */
  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#at = start;
    this.#end = Math.min(end, bytes.length);
  }

  /** How many bytes are left. */
  get rest(): number {
    return Math.max(0, this.#end - this.#at);
  }

  skip(bytes: number): this {
    this.#at += bytes;
    return this;
  }

  /** A u32, or undefined where the memory ends before it does. */
  word(): number | undefined {
    const at = this.#at;
    this.#at += 4;
    return this.#at <= this.#end ? this.#view.getUint32(at, true) : undefined;
  }

  /** A u32, in decimal. */
  u32(): string {
    return String(this.word() ?? MISSING);
  }

  /** A u64. */
  u64(): string {
    const low = this.word();
    const high = this.word();
    return low === undefined || high === undefined ? MISSING : decimal(low, high);
  }

  /** A mode, in octal. */
  octal(): string {
    const value = this.word();
    return value === undefined ? MISSING : `0${value.toString(8)}`;
  }

  flags(names: Flags): string {
    const value = this.word();
    return value === undefined ? MISSING : flagNames(value, names);
  }

  /** A name, ended by NUL, between quotation marks. */
  name(): string {
    const start = Math.min(this.#at, this.#end);
    const nul = this.#bytes.subarray(start, this.#end).indexOf(0);
    const isWhole = nul >= 0;
    const end = isWhole ? start + nul : this.#end;
    this.#at = end + 1;
    return `${this.#quoted(start, end)}${isWhole ? '' : MISSING}`;
  }

  /** All that is left, between quotation marks. */
  text(): string {
    const start = Math.min(this.#at, this.#end);
    this.#at = this.#end;
    return this.#quoted(start, this.#end);
  }

  #quoted(start: number, end: number): string {
    const shown = Math.min(end, start + MOST_NAME_BYTES);
    const { buffer, byteOffset } = this.#bytes;
    const text = quoted(Buffer.from(buffer, byteOffset + start, shown - start).toString('latin1'));
    return shown === end ? text : `${text}... (${end - start} bytes)`;
  }
}
