/** Formats figures with three digits, which is more than the noise allows. */

/** Formats 1,234,567 as 1.23 M. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const size = Math.abs(value);
  if (size >= 1e6) return `${digits(value / 1e6)} M`;
  if (size >= 1e4) return `${digits(value / 1e3)} k`;
  return digits(value);
}

/** Formats a number with three significant digits. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(size < 1 ? 2 : 3)));
}

/** Formats bytes as B, kB or MB, in steps of 1,000. */
export function bytes(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (value >= 1e6) return `${digits(value / 1e6)} MB`;
  return value >= 1e4 ? `${digits(value / 1e3)} kB` : `${digits(value)} B`;
}

/** Formats the size of an event, in steps of 1,024. */
export function eventSize(size: number): string {
  return size >= 1024 ? `${size / 1024} kB` : `${size} B`;
}

/** Formats milliseconds. */
export function ms(value: number): string {
  return value >= 1000 ? `${digits(value / 1000)} s` : `${digits(value)} ms`;
}

export function percent(share: number): string {
  if (!Number.isFinite(share)) return '-';
  if (share === 0) return '0';
  return share < 0.001 ? '<0.1%' : `${digits(share * 100)}%`;
}

/** Formats a ratio of 0.5 as 0.5x. */
export function times(ratio: number): string {
  return Number.isFinite(ratio) ? `${digits(ratio)}x` : '-';
}
