/** What a benchmark prints: a figure, what it was measured to be, and the bar that it is held against. */

export interface Figure {
  /** What was measured, in a few words. */
  readonly what: string;
  /** The value, with its unit or as a ratio. */
  readonly measured: string;
  /** What issue or design asks of it; empty where it is there to be looked at. */
  readonly bar: string;
  /** Whether it is met; undefined where there is no bar. */
  readonly met?: boolean;
}

/** A benchmark: gives its figures, and may say on the way what it does. */
export interface Benchmark {
  readonly name: string;
  run(say: (progress: string) => void): Promise<Figure[]>;
}

/** How a bar is kept: at most or at least a limit. */
export function figure(
  what: string,
  value: number,
  unit: string,
  bar?: { atMost?: number; atLeast?: number },
): Figure {
  const measured = `${format(value)}${unit}`;
  if (bar?.atMost !== undefined)
    return {
      what,
      measured,
      bar: `at most ${format(bar.atMost)}${unit}`,
      met: value <= bar.atMost,
    };
  if (bar?.atLeast !== undefined)
    return {
      what,
      measured,
      bar: `at least ${format(bar.atLeast)}${unit}`,
      met: value >= bar.atLeast,
    };
  return { what, measured, bar: '' };
}

/** A figure that can't be had here, and why. */
export function unmeasured(what: string, why: string): Figure {
  return { what, measured: why, bar: '' };
}

function format(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 1000)
    return Math.round(value).toLocaleString('en');
  return value.toFixed(Math.abs(value) < 10 ? 2 : 1);
}
