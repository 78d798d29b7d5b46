/** The events that publishers have published, with the times of their calls. */
import type { Call } from './lines.js';

/** The events of one publisher: numbered from 0, several of them in one call. */
export class Published {
  /** The first event's number of each call, and the call's times. */
  readonly #first: number[] = [];
  readonly #start: number[] = [];
  readonly #end: number[] = [];
  readonly #failed = new Set<number>();
  total = 0;
  /** The number of events whose call failed: they may have been published. */
  uncertain = 0;

  /** @param isOrdered whether the call returns after the daemon has the events */
  constructor(readonly isOrdered: boolean) {}

  add(call: Call, first: number, count: number): void {
    if (call.result < 0) this.#failed.add(this.#first.length);
    this.#first.push(first);
    this.#start.push(call.start);
    this.#end.push(call.end);
    this.total = first + count;
    if (call.result < 0) this.uncertain += count;
  }

  /** Returns the index of an event's call, or -1. `hint` is the index of a call near to it. */
  find(n: number, hint = 0): number {
    if (n < 0 || n >= this.total) return -1;
    const first = this.#first;
    if (n >= first[hint] && (hint + 1 >= first.length || n < first[hint + 1])) return hint;
    let low = 0;
    for (let high = first.length; low < high;) {
      const middle = (low + high) >>> 1;
      if (first[middle] <= n) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Returns whether the events of a call may not have been published: it failed. */
  isUncertain(call: number): boolean {
    return this.#failed.has(call);
  }

  startOf(call: number): number {
    return this.#start[call];
  }

  endOf(call: number): number {
    return this.#end[call];
  }

  /** Returns the number of the first event of a call. */
  firstOf(call: number): number {
    return call < this.#first.length ? this.#first[call] : this.total;
  }

  /** Returns the number of the first event whose call began at `time` or later. */
  firstSince(time: number): number {
    return this.firstOf(firstAtLeast(this.#start, time));
  }

  /** Returns the number of the first event whose call ended at `time` or later. */
  firstEndingSince(time: number): number {
    return this.firstOf(firstAtLeast(this.#end, time));
  }
}

function firstAtLeast(sorted: readonly number[], value: number): number {
  let low = 0;
  for (let high = sorted.length; low < high;) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A growing set of numbers. */
export class Numbers {
  #words = new Uint32Array(1024);

  /** Adds a number. @returns whether it was there before */
  add(n: number): boolean {
    const at = n >>> 5;
    if (at >= this.#words.length) {
      const larger = new Uint32Array(Math.max(at + 1, this.#words.length * 2));
      larger.set(this.#words);
      this.#words = larger;
    }
    const bit = 1 << (n & 31);
    const was = (this.#words[at] & bit) !== 0;
    this.#words[at] |= bit;
    return was;
  }
}
