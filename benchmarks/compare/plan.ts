/** The plans: what is measured, how often and for how long. */

export interface Plan {
  readonly name: string;
  readonly cells: readonly Cell[];
  readonly publishers: number;
  /** The number of rounds, in each of which every design has one turn. */
  readonly rounds: number;
  readonly floodMs: number;
  readonly latencyMs: number;
}

/** A cell of the plan: one number of subscribers and one size of event, for all designs. */
export interface Cell {
  readonly subscribers: number;
  /** The size of an event's record. */
  readonly bytes: number;
  /** Whether a subscriber that never reads is measured. */
  readonly laggard: boolean;
  /** Whether stored bytes are measured: with few subscribers the noise of the heap is larger. */
  readonly storage: boolean;
  /** Whether half of the subscribers are killed at the end. */
  readonly deaths: boolean;
}

/** The number of subscribers, of which one never reads. */
const LAGGARD_AMONG = 64;
const BYTES = [300, 2048, 16_384];
const SUBSCRIBERS = [1, 4, 16, 64, 256, 1024];
/** Enough that publishers do not limit deliveries (benchmarks/figures/fanout.ts). */
const PUBLISHERS = 4;

export const FULL: Plan = {
  name: 'full',
  cells: BYTES.flatMap((bytes) => SUBSCRIBERS.map((subscribers) => cell(subscribers, bytes))),
  publishers: PUBLISHERS,
  rounds: 3,
  floodMs: 250,
  latencyMs: 400,
};

export const SHORT: Plan = {
  name: 'short',
  cells: [cell(1, 300), cell(64, 300), { ...cell(256, 300), deaths: false }, cell(16, 16_384)],
  publishers: PUBLISHERS,
  rounds: 2,
  floodMs: 150,
  latencyMs: 250,
};

function cell(subscribers: number, bytes: number): Cell {
  const isSmallest = bytes === BYTES[0];
  return {
    subscribers,
    bytes,
    storage: subscribers >= 16,
    laggard: isSmallest && subscribers === LAGGARD_AMONG,
    deaths: isSmallest && subscribers >= 4,
  };
}
