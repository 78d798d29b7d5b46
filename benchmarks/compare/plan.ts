/** What is measured, how often and for how long. */

export interface Plan {
  readonly name: string;
  readonly cells: readonly Cell[];
  readonly publishers: number;
  /** How often each design has its turn; they take turns. */
  readonly rounds: number;
  readonly floodMs: number;
  readonly latencyMs: number;
}

/** One number of subscribers and one size of event, for all designs. */
export interface Cell {
  readonly subscribers: number;
  /** Of an event's record. */
  readonly bytes: number;
  /** Whether a subscriber that never reads is tried. */
  readonly laggard: boolean;
  /** Whether what is stored is weighed: with few subscribers the daemon's heap changes by more than that. */
  readonly storage: boolean;
  /** Whether half of them are killed at the end. */
  readonly deaths: boolean;
}

/** The others among whom one never reads. */
const LAGGARD_AMONG = 64;
const BYTES = [300, 2048, 16_384];
const SUBSCRIBERS = [1, 4, 16, 64, 256, 1024];
/** As many as it takes until they are not what is waited for (benchmarks/figures/fanout.ts). */
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
