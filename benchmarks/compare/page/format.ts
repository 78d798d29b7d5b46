/** Figures as people read them: three digits are more than the noise allows. */

/** 1,234,567 as 1.23 M. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const size = Math.abs(value);
  if (size >= 1e6) return `${digits(value / 1e6)} M`;
  if (size >= 1e4) return `${digits(value / 1e3)} k`;
  return digits(value);
}

/** Three digits, and no more behind the point than they are good for. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(size < 1 ? 2 : 3)));
}

/** Bytes, as B, kB or MB of 1,000. */
export function bytes(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (value >= 1e6) return `${digits(value / 1e6)} MB`;
  return value >= 1e4 ? `${digits(value / 1e3)} kB` : `${digits(value)} B`;
}

/** Of the sizes of events. */
export function eventSize(size: number): string {
  return size >= 1024 ? `${size / 1024} kB` : `${size} B`;
}

/** Milliseconds. */
export function ms(value: number): string {
  return value >= 1000 ? `${digits(value / 1000)} s` : `${digits(value)} ms`;
}

export function percent(share: number): string {
  if (!Number.isFinite(share)) return '-';
  if (share === 0) return '0';
  return share < 0.001 ? '<0.1%' : `${digits(share * 100)}%`;
}

/** 0.5 of one as 0.5x. */
export function times(ratio: number): string {
  return Number.isFinite(ratio) ? `${digits(ratio)}x` : '-';
}
