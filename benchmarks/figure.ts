/** A printed result: a figure, its measured value, and the bar that it must meet. */

/** One line of a benchmark's results. */
export interface Figure {
  /** The measured thing, in a few words. */
  readonly what: string;
  /** The value, with its unit or as a ratio. */
  readonly measured: string;
  /** The bar from an issue or the design; empty if the figure has none. */
  readonly bar: string;
  /** Whether the bar is met; undefined if there is none. */
  readonly met?: boolean;
}

/** A benchmark. `run` returns its figures, and calls `say` with its progress. */
export interface Benchmark {
  readonly name: string;
  run(say: (progress: string) => void): Promise<Figure[]>;
}

/**
 * Makes a figure from a value.
 * @param unit follows the value
 * @param bar the limit; no bar if it is absent
 */
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

/**
 * Makes a figure without a value.
 * @param why why it can't be measured here
 */
export function unmeasured(what: string, why: string): Figure {
  return { what, measured: why, bar: '' };
}

function format(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 1000)
    return Math.round(value).toLocaleString('en');
  return value.toFixed(Math.abs(value) < 10 ? 2 : 1);
}
