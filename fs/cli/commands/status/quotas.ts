/** The table of quotas of `eventfs status --all`. */
import { ITEMS, type Item } from '../../../shared/quota-items.js';
import { type Status, parseHeld, quotaOwner } from '../../../shared/status-lines.js';
import { short } from '../../terminal/numbers.js';
import type { Screen } from '../../terminal/screen.js';
import { table } from '../../terminal/table.js';

/** The amount that a user or group holds, and the most it may hold; null means no bound. */
interface Held {
  readonly held: number;
  readonly most: number | null;
}

/** The amounts of all items that a user or group holds. */
export type Quota = { readonly who: string } & Readonly<Record<Item, Held>>;

const SIZES: readonly Item[] = ['bytes', 'memory'];

/** Returns the quotas of each bounded user and group that holds anything. */
export function readQuotas(daemon: Status): Quota[] {
  return [...daemon].flatMap(([key, text]) => {
    const owner = quotaOwner(key);
    if (owner === undefined) return [];
    const items = Object.entries(parseHeld(text)).map(
      ([item, { held, most }]) => [item, { held, most: most === Infinity ? null : most }] as const,
    );
    return [{ who: `${owner.kind} ${owner.id}`, ...Object.fromEntries(items) } as Quota];
  });
}

/** Formats the quotas, without the items that no user or group holds. */
export function quotaTable(quotas: readonly Quota[], screen: Screen): string[] {
  const items = ITEMS.filter((item) => quotas.some((quota) => (quota[item]?.held ?? 0) > 0));
  const columns = [
    { title: 'QUOTA', rank: 0 },
    ...items.map((item, at) => ({ title: item.toUpperCase(), isNumber: true, rank: at + 1 })),
  ];
  const rows = quotas.map((quota) => [
    quota.who,
    ...items.map((item) => {
      const base = SIZES.includes(item) ? 1024 : 1000;
      const { held, most } = quota[item];
      return `${short(held, base)}/${most === null ? 'any' : short(most, base)}`;
    }),
  ]);
  return table(columns, rows, screen, (line, row) => (row < 0 ? screen.colors.bold(line) : line));
}
