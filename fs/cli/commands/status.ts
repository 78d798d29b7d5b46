/** `eventfs status`: shows the subscribers, the depths of their queues, and losses. */
import Table from 'cli-table3';
import { requireMount } from '../../client/mounted.js';
import {
  type Subscriber,
  processDirectories,
  readStatusFile,
  streams,
} from '../../client/status.js';
import { ITEMS, type Item } from '../../shared/quota-items.js';
import { type Status, parseHeld, quotaOwner, subscriberKind } from '../../shared/status-lines.js';
import { type JsonText, jsonText } from '../terminal/event-json.js';
import { print, printable, textOf } from '../terminal/output.js';

/**
 * Prints the daemon's status lines, the subscribers and the quotas.
 *
 * @throws UserError if eventfs is not mounted there
 */
export async function status(options: {
  readonly json?: boolean;
  readonly mount: string;
}): Promise<void> {
  const path = await requireMount(options.mount);
  const daemon = readStatusFile(`${Buffer.from(path).toString('latin1')}/log`, 'latin1');
  const subscribers = [...processDirectories(path).readable, ...streams(daemon)];
  const quotas = readQuotas(daemon);
  for (const key of [...daemon.keys()].filter(
    (name) => subscriberKind(name) !== undefined || quotaOwner(name) !== undefined,
  ))
    daemon.delete(key);
  if (options.json === true) {
    const lines = Object.fromEntries(
      [...daemon].map(([key, value]) => [key.toLowerCase(), valueOf(value)]),
    );
    print(
      `${JSON.stringify({ mount: path, ...lines, subscribers: subscribers.map(subscriberJson), quotas })}\n`,
    );
    return;
  }
  const table = new Table({
    head: ['what', 'pid', 'command', 'pending', 'lost', 'filter'],
    style: { head: [], border: [] },
  });
  for (const { what, pid, command, pending, lost, filter } of subscribers) {
    table.push([
      printable(textOf(what)),
      pid,
      printable(textOf(command)),
      pending,
      lost,
      printable(textOf(filter)),
    ]);
  }
  const lines = [...daemon].map(([key, value]) => printable(textOf(`${key}=${value}`)));
  const tables = [
    ...(subscribers.length > 0 ? [table.toString()] : []),
    ...(quotas.length > 0 ? [quotaTable(quotas)] : []),
  ];
  print([...lines, ...tables, ''].join('\n'));
}

/**
 * Converts a subscriber for JSON. A text that is not UTF-8 becomes an array of its bytes, as in
 * `watch --json`.
 */
function subscriberJson({
  what,
  command,
  filter,
  ...numbers
}: Subscriber): Readonly<Record<keyof Subscriber, JsonText | number>> {
  return { ...numbers, what: jsonText(what), command: jsonText(command), filter: jsonText(filter) };
}

/**
 * Formats the quotas, without the items that no user or group holds: all seven are as wide as a
 * terminal.
 */
function quotaTable(quotas: readonly Quota[]): string {
  const items = ITEMS.filter((item) => quotas.some((quota) => (quota[item]?.held ?? 0) > 0));
  const table = new Table({
    head: ['who', ...items],
    style: { head: [], border: [], 'padding-left': 0 },
  });
  for (const quota of quotas) {
    table.push([
      quota.who,
      ...items.map(
        (item) =>
          `${short(item, quota[item].held)}/${quota[item].most === null ? 'any' : short(item, quota[item].most)}`,
      ),
    ]);
  }
  return table.toString();
}

const SIZES: readonly Item[] = ['bytes', 'memory'];

/** Formats a number in at most five characters: `4096`, `65.5k`, `64.0M`. */
function short(item: Item, value: number): string {
  const base = SIZES.includes(item) ? 1024 : 1000;
  if (value < 10_000) return String(value);
  let scaled = value / base;
  let unit = 0;
  for (; scaled >= 1000 && unit < UNITS.length - 1; unit++) scaled /= base;
  return `${scaled < 100 ? scaled.toFixed(1) : scaled.toFixed(0)}${UNITS[unit]}`;
}

const UNITS = 'kMGTP';

/** The amount that a user or group holds, and the most it may hold; null means no bound. */
interface Held {
  readonly held: number;
  readonly most: number | null;
}

type Quota = { readonly who: string } & Readonly<Record<Item, Held>>;

/** Returns the quotas of each bounded user and group that holds anything. */
function readQuotas(daemon: Status): Quota[] {
  return [...daemon].flatMap(([key, text]) => {
    const owner = quotaOwner(key);
    if (owner === undefined) return [];
    const items = Object.entries(parseHeld(text)).map(
      ([item, { held, most }]) => [item, { held, most: most === Infinity ? null : most }] as const,
    );
    return [{ who: `${owner.kind} ${owner.id}`, ...Object.fromEntries(items) } as Quota];
  });
}

/** Converts a value for JSON. The lines of sources and outlets are not all numbers. */
function valueOf(text: string): number | JsonText {
  return /^-?\d+$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : jsonText(text);
}
