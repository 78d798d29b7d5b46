/**
 * The kinds of values in the configuration.
 *
 * A kind checks a value and returns it, converted. It throws {@link Unfit} for a value that it does
 * not allow.
 */
export type Kind<T> = (value: unknown) => T;

/** Its message is the end of an error message, as in `is not a whole number from 1 to 9`. */
export class Unfit extends Error {}

/**
 * Makes the kind of whole numbers within a range. TOML's -0, 1.0 and 1e3 count as whole numbers.
 *
 * @param least the smallest allowed number
 * @param most the largest allowed number
 */
export function whole(least: number, most: number): Kind<number> {
  return (value) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
      throw new Unfit(`is not a whole number from ${least} to ${most}`);
    }
    return value;
  };
}

const UNIT_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/**
 * Makes the kind of sizes within a range: a number of bytes, or text such as "4 MiB". Its values
 * are numbers of bytes.
 *
 * @param least in bytes
 * @param most in bytes
 */
export function size(least: number, most: number): Kind<number> {
  return (value) => {
    const [, digits, unit] =
      (typeof value === 'string' ? /^(\d{1,16}) ?(B|[KMGT]iB|)$/.exec(value) : null) ?? [];
    const bytes = digits === undefined ? value : Number(digits) * UNIT_BYTES[unit];
    if (typeof bytes !== 'number' || !Number.isInteger(bytes) || bytes < least || bytes > most) {
      throw new Unfit(
        `is not a size from ${inUnits(least)} to ${inUnits(most)}, as in 65536 or "4 MiB"`,
      );
    }
    return bytes;
  };
}

/** Formats bytes as `4 MiB` rather than 4194304 if that is exact. */
function inUnits(bytes: number): string {
  const [unit, factor] = Object.entries(UNIT_BYTES).findLast(
    ([, each]) => bytes >= each && bytes % each === 0,
  ) ?? ['', 1];
  return unit === '' || bytes === 0 ? String(bytes) : `${bytes / factor} ${unit}`;
}

/** Makes the kind of one word out of a list. */
export function oneOf<const T extends string>(...words: readonly T[]): Kind<T> {
  return (value) => {
    const found = words.find((word) => word === value);
    if (found === undefined)
      throw new Unfit(`is not one of ${words.map((word) => `"${word}"`).join(', ')}`);
    return found;
  };
}

/** Makes a kind that also allows "unlimited", which becomes Infinity. */
export function orUnlimited(kind: Kind<number>): Kind<number> {
  return (value) => {
    if (value === 'unlimited') return Infinity;
    try {
      return kind(value);
    } catch (error) {
      throw error instanceof Unfit ? new Unfit(`${error.message}, or "unlimited"`) : error;
    }
  };
}

/** Formats a value for an error message: short, in one line. */
export function shown(value: unknown): string {
  if (typeof value === 'string')
    return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Date) return 'a date';
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'a table';
}
