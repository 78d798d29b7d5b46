/** `eventfs status`: who subscribes, how deep, how much was lost. */
import { readFileSync, readdirSync } from 'node:fs';
import Table from 'cli-table3';
import { isSystemError } from '../../shared/errors.js';
import { ITEMS, type Item } from '../../tree/quota.js';
import { requireMount } from '../../client/mounted.js';
import { print, printable } from '../terminal/output.js';
import { readStatusFile } from '../../client/status-file.js';

/** What is always in the root and no process directory. */
const FIXED = new Set(['log', 'match', 'publish', 'stream']);

export interface Subscriber {
  readonly what: string;
  readonly pid: number;
  readonly command: string;
  readonly pending: number;
  readonly lost: number;
  readonly filter: string;
}

export async function status(options: { readonly json?: boolean; readonly mount: string }): Promise<void> {
  const path = await requireMount(options.mount);
  const daemon = readStatusFile(`${path}/log`);
  const subscribers = [...processDirectories(path).readable, ...streams(daemon)];
  const quotas = readQuotas(daemon);
  for (const key of [...daemon.keys()].filter((name) => SUBSCRIBER.test(name) || name.startsWith('QUOTA_'))) daemon.delete(key);
  if (options.json === true) {
    const lines = Object.fromEntries([...daemon].map(([key, value]) => [key.toLowerCase(), valueOf(value)]));
    print(`${JSON.stringify({ mount: path, ...lines, subscribers, quotas })}\n`);
    return;
  }
  const table = new Table({ head: ['what', 'pid', 'command', 'pending', 'lost', 'filter'], style: { head: [], border: [] } });
  for (const { what, pid, command, pending, lost, filter } of subscribers) {
    table.push([printable(what), pid, printable(command), pending, lost, printable(filter)]);
  }
  const lines = [...daemon].map(([key, value]) => printable(`${key}=${value}`));
  const tables = [...(subscribers.length > 0 ? [table.toString()] : []), ...(quotas.length > 0 ? [quotaTable(quotas)] : [])];
  print([...lines, ...tables, ''].join('\n'));
}

/** What all hold, without the items that nobody holds: with seven of them it is as wide as a terminal. */
function quotaTable(quotas: readonly Quota[]): string {
  const items = ITEMS.filter((item) => quotas.some((quota) => (quota[item]?.held ?? 0) > 0));
  const table = new Table({ head: ['who', ...items], style: { head: [], border: [], 'padding-left': 0 } });
  for (const quota of quotas) {
    table.push([quota.who, ...items.map((item) => `${short(item, quota[item].held)}/${quota[item].most === null ? 'any' : short(item, quota[item].most)}`)]);
  }
  return table.toString();
}

const SIZES: readonly Item[] = ['bytes', 'memory'];

/** A number in at most five characters: `4096`, `65.5k`, `64.0M`. */
function short(item: Item, value: number): string {
  const base = SIZES.includes(item) ? 1024 : 1000;
  if (value < 10_000) return String(value);
  let scaled = value / base;
  let unit = 0;
  for (; scaled >= 1000 && unit < UNITS.length - 1; unit++) scaled /= base;
  return `${scaled < 100 ? scaled.toFixed(1) : scaled.toFixed(0)}${UNITS[unit]}`;
}

const UNITS = 'kMGTP';

/** What a user or a group holds of what it may hold; null where there is no bound. */
interface Held {
  readonly held: number;
  readonly most: number | null;
}

type Quota = { readonly who: string } & Readonly<Record<Item, Held>>;

/** `QUOTA_UID_1000=directories=2/256 streams=0/1024 ...` for each user and group that is bounded and holds anything. */
function readQuotas(daemon: ReadonlyMap<string, string>): Quota[] {
  return [...daemon]
    .filter(([key]) => key.startsWith('QUOTA_'))
    .map(([key, value]) => {
      const items = [...value.matchAll(/(\w+)=(\d+)\/(\w+)/g)].map(([, item, held, most]): [string, Held] => {
        return [item, { held: Number(held), most: most === 'unlimited' ? null : Number(most) }];
      });
      return { who: key.slice('QUOTA_'.length).replace('_', ' ').toLowerCase(), ...Object.fromEntries(items) } as Quota;
    });
}

/** Sources and outlets have lines of their own, not all of them numbers. */
function valueOf(text: string): number | string {
  return /^-?\d+$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : text;
}

/** All process directories, and how many of them are not ours to look into. */
export function processDirectories(path: string): { readable: Subscriber[]; unreadable: number } {
  const bytes = Buffer.from(path).toString('latin1'); // a name need not be UTF-8
  let unreadable = 0;
  const readable = readdirSync(path, 'latin1')
    .filter((name) => !FIXED.has(name))
    .flatMap((name) => {
      try {
        const lines = readStatusFile(`${bytes}/${name}`, 'latin1');
        return [subscriber(Buffer.from(name, 'latin1').toString(), Number(lines.get('OWNER')), Object.fromEntries(lines))];
      } catch (error) {
        if (!isSystemError(error)) throw error; // else it has ended since, or is not ours to look into
        if (error.code === 'EACCES') unreadable++;
        return [];
      }
    });
  return { readable, unreadable };
}

/** Keys of lines about one subscriber: an open stream, or a socket's client. */
const SUBSCRIBER = /^(STREAM|SOCKET|FDSOCKET)_\d+$/;

/** `pid=1 pending=0 lost=0 filter=...` for each open stream, and with `uid=0` for each client of a socket. */
export function streams(daemon: ReadonlyMap<string, string>): Subscriber[] {
  return [...daemon]
    .filter(([key]) => SUBSCRIBER.test(key))
    .map(([key, value]) => {
      const found = /^pid=(\d+) (?:uid=\d+ )?pending=(\d+) lost=(\d+) filter=(.*)$/.exec(value);
      const [, pid, PENDING, LOST, FILTER] = found ?? ['', '0', '0', '0', ''];
      return subscriber(SUBSCRIBER.exec(key)![1].toLowerCase(), Number(pid), { PENDING, LOST, FILTER });
    });
}

function subscriber(what: string, pid: number, lines: Readonly<Record<string, string>>): Subscriber {
  return {
    what,
    pid,
    command: commandOf(pid),
    pending: Number(lines.PENDING),
    lost: Number(lines.LOST),
    filter: lines.FILTER,
  };
}

export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '?';
  }
}
