/** Numbers, rates and times as people read them. */

const UNITS = 'kMGTP';
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Formats a number with commas: `1,234,567`. */
export function count(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** Formats a number and a noun: `1 event`, `5,096 events`. */
export function counted(value: number, noun: string, plural = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : plural}`;
}

/**
 * Formats a number in at most five characters: `4096`, `65.5k`, `64.0M`.
 *
 * @param base 1000, or 1024 for bytes
 */
export function short(value: number, base = 1000): string {
  if (value < 10_000) return String(value);
  let scaled = value / base;
  let unit = 0;
  for (; scaled >= 1000 && unit < UNITS.length - 1; unit++) scaled /= base;
  return `${scaled < 100 ? scaled.toFixed(1) : scaled.toFixed(0)}${UNITS[unit]}`;
}

/** Formats a rate in at most five characters: `0`, `0.05`, `3.2`, `65.5k`; `-` if it is unknown. */
export function rateText(rate: number | undefined): string {
  if (rate === undefined) return '-';
  if (rate === 0) return '0';
  if (rate < 0.005) return '<0.01';
  if (rate < 1) return rate.toFixed(2);
  return rate < 99.95 ? rate.toFixed(1) : short(Math.round(rate));
}

/** Formats a time in its two largest units: `12 s`, `2 h 3 min`, `5 d 1 h`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return two(whole, MINUTE, 'min', 1, 's');
  if (whole < DAY) return two(whole, HOUR, 'h', MINUTE, 'min');
  return two(whole, DAY, 'd', HOUR, 'h');
}

function two(seconds: number, large: number, name: string, small: number, other: string): string {
  const rest = Math.floor((seconds % large) / small);
  return `${Math.floor(seconds / large)} ${name}${rest === 0 ? '' : ` ${rest} ${other}`}`;
}

/** Formats a time in its largest unit, in at most four characters: `12s`, `3m`, `2h`, `5d`. */
export function age(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE) return `${whole}s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)}m`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)}h`;
  return `${Math.min(Math.floor(whole / DAY), 999)}d`;
}
