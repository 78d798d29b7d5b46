/** The bounds of quotas, and those that hold without a configuration. */
import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import { ITEMS, type Item } from '../../shared/quota-items.js';
import { LINK_BYTES } from '../prices.js';

/** The most of each item; Infinity if the item has no bound. */
export type Bounds = Readonly<Record<Item, number>>;

/** The bounds of all users, or of all groups. */
export interface QuotaRules {
  /** The bounds of each id that is not in `of`. Id 0 is not bounded by them. */
  readonly others: Bounds;
  /** The bounds of specific ids, by uid or gid. */
  readonly of: ReadonlyMap<number, Bounds>;
}

/** The configured quotas: of the mount, of users and of groups. */
export interface Quotas {
  readonly mount: Bounds;
  readonly uid: QuotaRules;
  readonly gid: QuotaRules;
}

/** Infinity for each item. */
export const NO_BOUNDS: Bounds = Object.fromEntries(
  ITEMS.map((item) => [item, Infinity]),
) as Bounds;

/**
 * Copies bounds to an object that has the same hidden class as every other copy. Each event reads
 * some bounds for each queue. V8 allocates memory for each number that it reads from an object of
 * another class than it expects (docs/decisions/141-no-garbage-for-a-delivery.md).
 */
export function copyOf(bounds: Bounds): Bounds {
  const { directories, streams, reads, events, bytes, memory, filter_cost } = bounds;
  return { directories, streams, reads, events, bytes, memory, filter_cost };
}

const MIB = 1024 * 1024;

/**
 * The young generation: three semi-spaces of 16 MiB. V8 counts it to the heap's limit; the old
 * space, which has the long-lived objects, gets the rest.
 */
const YOUNG_GENERATION_BYTES = 48 * MIB;
const HEAP_LIMIT_BYTES = getHeapStatistics().heap_size_limit;
const OLD_SPACE_BYTES = Math.max(HEAP_LIMIT_BYTES - YOUNG_GENERATION_BYTES, HEAP_LIMIT_BYTES / 2);

/**
 * Half of the old space. The other half is for the program itself, and for the garbage collector to
 * move objects.
 */
const MOUNT_MEMORY_BYTES = Math.floor(OLD_SPACE_BYTES / 2);

/** The quotas without a configuration. */
export const DEFAULT_QUOTAS: Quotas = {
  mount: {
    directories: 65_536,
    streams: 65_536,
    reads: 65_536,
    events: Math.floor(MOUNT_MEMORY_BYTES / LINK_BYTES),
    bytes: Math.floor(totalmem() / 2),
    memory: MOUNT_MEMORY_BYTES,
    filter_cost: Infinity,
  },
  uid: {
    others: {
      directories: 256,
      streams: 1024,
      reads: 1024,
      events: 65_536,
      bytes: 64 * MIB,
      memory: Math.min(64 * MIB, Math.floor(MOUNT_MEMORY_BYTES / 4)),
      filter_cost: 32_768,
    },
    of: new Map(),
  },
  gid: { others: NO_BOUNDS, of: new Map() },
};
