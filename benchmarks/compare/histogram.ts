/**
 * Times in nanoseconds, each kept to within 1/32 of itself: the buckets of
 * benchmarks/programs/histogram.h, read back.
 *
 * A bucket's value is its middle, so that a quantile is off by at most 1/64.
 */
const STEP_BITS = 5;
const STEPS = 2 ** STEP_BITS;

/** Returns the bucket of `ns`. */
export function bucketOf(ns: number): number {
  if (ns < STEPS) return ns;
  const shift = Math.floor(Math.log2(ns)) - STEP_BITS;
  return shift * STEPS + Math.floor(ns / 2 ** shift);
}

/** Returns the lowest value of a bucket, and its number of values. */
export function rangeOf(bucket: number): { lowest: number; width: number } {
  if (bucket < STEPS) return { lowest: bucket, width: 1 };
  const shift = Math.floor(bucket / STEPS) - 1;
  return { lowest: (bucket - shift * STEPS) * 2 ** shift, width: 2 ** shift };
}

export class Histogram {
  readonly #counts = new Map<number, number>();
  /** The number of values. */
  count = 0;

  /** Parses `bucket:count ...`, as benchmarks/programs/subscribers.c prints it. */
  static parse(line: string): Histogram {
    const histogram = new Histogram();
    for (const [, bucket, count] of line.matchAll(/(\d+):(\d+)/g))
      histogram.add(Number(bucket), Number(count));
    return histogram;
  }

  add(bucket: number, count: number): void {
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + count);
    this.count += count;
  }

  merge(other: Histogram): void {
    for (const [bucket, count] of other.#counts) this.add(bucket, count);
  }

  /** Returns the value that a `fraction` of all do not exceed; NaN if there are none. */
  quantile(fraction: number): number {
    let left = Math.max(1, Math.ceil(fraction * this.count));
    for (const bucket of [...this.#counts.keys()].sort((a, b) => a - b)) {
      left -= this.#counts.get(bucket)!;
      if (left > 0) continue;
      const { lowest, width } = rangeOf(bucket);
      return lowest + (width - 1) / 2;
    }
    return NaN;
  }

  toString(): string {
    return [...this.#counts]
      .sort(([a], [b]) => a - b)
      .map(([bucket, count]) => `${bucket}:${count}`)
      .join(' ');
  }
}
