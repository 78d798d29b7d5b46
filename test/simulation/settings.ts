/** The configuration of a run, from its seed: small bounds, so that each of them is reached. */
import type { StateSizes } from '../../fs/state/layout.js';
import type { Random } from './machine/random.js';
import type { ModelSettings } from './model/model.js';

/** Returns the configuration of a run. */
export function settingsFrom(random: Random): ModelSettings {
  const isTight = random.once(2);
  const isGuarded = !random.once(4);
  return {
    isGuarded,
    isSlow: !isTight,
    queue: {
      events: random.between(2, 12),
      bytes: random.between(300, 1500),
      dropsOldest: !random.once(3),
    },
    history: { events: random.between(3, 20), bytes: random.between(500, 3000) },
    // The history must be younger than the ring: the bus relies on it.
    ring: {
      events: random.between(24, 64),
      bytes: isGuarded ? 512 * 1024 : random.between(4096, 16384),
    },
    mount: {
      directories: isTight ? random.between(4, 10) : 1000,
      streams: isTight ? random.between(4, 12) : 1000,
      reads: isTight ? random.between(3, 8) : 1000,
      events: isTight ? random.between(20, 60) : 100_000,
      bytes: isTight ? random.between(2000, 8000) : 1_000_000,
    },
    perUser: {
      directories: isTight ? random.between(1, 4) : 500,
      streams: isTight ? random.between(1, 6) : 500,
      reads: isTight ? random.between(1, 4) : 500,
      events: isTight ? random.between(5, 30) : 50_000,
      bytes: isTight ? random.between(500, 3000) : 500_000,
    },
  };
}

/** Returns the sizes of the parts of the state. */
export function sizesOf({ ring }: ModelSettings): StateSizes {
  return { ring: ring.bytes, mailbox: 4096, half: 16 * 1024 * 1024 };
}

/** One of 10 looks at the clock of a slow daemon finds that a millisecond has gone by. */
const SLOW_ONCE_IN = 10;

/** Returns how far the clock goes on between two looks, in milliseconds. */
export function stepMs({ isSlow }: ModelSettings, random: Random): number {
  return isSlow && random.once(SLOW_ONCE_IN) ? 1 : 0.0001;
}
