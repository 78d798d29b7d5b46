/** `eventfs status`: shows the mount, its source, its rate, its subscribers and who lags. */
import { requireMount } from '../../../client/mounted.js';
import { type MountStatus, readMountStatus } from '../../../client/sample.js';
import { type Subscriber, lags } from '../../../client/status.js';
import { quotaOwner, subscriberKind } from '../../../shared/status-lines.js';
import { jsonText, type JsonText } from '../../terminal/event-json.js';
import {
  type Unknown,
  type WaitingRequests,
  readWaiting,
} from '../../../client/waiting-requests.js';
import { count, counted } from '../../terminal/numbers.js';
import { print } from '../../terminal/output.js';
import { type Screen, screenOf } from '../../terminal/screen.js';
import { wrap } from '../../terminal/wrap.js';
import { counterLines } from './counters.js';
import { type Quota, quotaTable, readQuotas } from './quotas.js';
import { laggingFirst, subscriberTable } from './subscribers.js';
import { summary } from './summary.js';

/** The options of `eventfs status`. */
export interface StatusOptions {
  readonly json?: boolean;
  readonly all?: boolean;
  readonly lagging?: boolean;
  readonly mount: string;
}

/** The fewest rows of the table on a terminal, however low it is. */
const FEWEST_ROWS = 5;
/** The lines around the table: an empty one, the title, the number of the others, the prompt. */
const OTHER_LINES = 4;

/**
 * Prints one screen; to a pipe or a file, every subscriber.
 *
 * @throws UserError if eventfs is not mounted there
 */
export async function status(options: StatusOptions): Promise<void> {
  const path = await requireMount(options.mount);
  const now = await readMountStatus(path);
  const wanted = now.subscribers.filter((one) => options.lagging !== true || lags(one));
  const quotas = readQuotas(now.daemon);
  const waiting = await readWaiting(path);
  if (options.json === true) {
    print(`${JSON.stringify(statusJson(path, now, wanted, quotas, waiting))}\n`);
    return;
  }
  const screen = screenOf();
  const lines =
    options.lagging === true
      ? laggingLines(wanted, now, screen)
      : screenLines(path, now, quotas, waiting, options.all === true, screen);
  print(lines.map((line) => `${line}\n`).join(''));
}

function screenLines(
  path: string,
  now: MountStatus,
  quotas: readonly Quota[],
  waiting: WaitingRequests | Unknown,
  isAll: boolean,
  screen: Screen,
): string[] {
  const lines = summary(path, now, stuckOf(waiting), screen);
  const subscribers = laggingFirst(now.subscribers);
  const room = Math.max(FEWEST_ROWS, screen.rows - lines.length - OTHER_LINES);
  const listed = isAll || subscribers.length <= room ? subscribers : subscribers.slice(0, room);
  if (listed.length > 0) lines.push('', ...subscriberTable(listed, screen));
  const others = subscribers.slice(listed.length);
  if (others.length > 0) lines.push(...othersLine(others, screen));
  if (isAll && quotas.length > 0) lines.push('', ...quotaTable(quotas, screen));
  if (isAll) lines.push('', ...counterLines(now.daemon, screen));
  return lines;
}

function othersLine(others: readonly Subscriber[], screen: Screen): string[] {
  const lagging = others.filter(lags).length;
  const which = lagging > 0 ? `${count(lagging)} of them lag` : 'none of them lags';
  return wrap(`and ${count(others.length)} more, ${which} (eventfs status --all)`, screen.columns);
}

function laggingLines(
  lagging: readonly Subscriber[],
  { subscribers }: MountStatus,
  screen: Screen,
): string[] {
  if (lagging.length === 0)
    return wrap(`${counted(subscribers.length, 'subscriber')}, and none lags`, screen.columns);
  const sum = (of: (one: Subscriber) => number): number =>
    lagging.reduce((total, one) => total + of(one), 0);
  const totals = `${count(lagging.length)} of ${counted(subscribers.length, 'subscriber')} lag: ${counted(
    sum(({ pending }) => pending),
    'event',
  )} wait for them, ${count(sum(({ lost }) => lost))} were lost`;
  return [...subscriberTable(laggingFirst(lagging), screen), ...wrap(totals, screen.columns)];
}

/** Returns how many requests are stuck; undefined if this user can't see it. */
function stuckOf(waiting: WaitingRequests | Unknown): number | undefined {
  return typeof waiting === 'string' ? undefined : waiting.stuck;
}

/**
 * Returns the object of `--json`. Numbers are numbers; text that is not UTF-8 is an array of its
 * bytes.
 */
function statusJson(
  mount: string,
  { daemon, unreadable }: MountStatus,
  subscribers: readonly Subscriber[],
  quotas: readonly Quota[],
  waiting: WaitingRequests | Unknown,
): unknown {
  const lines = [...daemon]
    .filter(([key]) => subscriberKind(key) === undefined && quotaOwner(key) === undefined)
    .map(([key, value]) => [key.toLowerCase(), valueOf(value)] as const);
  return {
    mount,
    ...Object.fromEntries(lines),
    unreadable_directories: unreadable,
    stuck_requests: stuckOf(waiting) ?? null,
    subscribers: subscribers.map(subscriberJson),
    quotas,
  };
}

function subscriberJson(
  subscriber: Subscriber,
): Readonly<Record<string, JsonText | number | boolean>> {
  const { what, pid, command, pending, lost, added, oldest, most, filter } = subscriber;
  return {
    what: jsonText(what),
    pid,
    command: jsonText(command),
    pending,
    lost,
    added,
    ...(oldest !== undefined && oldest > 0 && { oldest }),
    most,
    lags: lags(subscriber),
    filter: jsonText(filter),
  };
}

/** Converts a value for JSON. The lines of sources and outlets are not all numbers. */
function valueOf(text: string): number | JsonText {
  return /^-?\d+(\.\d+)?$/.test(text) && Number.isSafeInteger(Math.trunc(Number(text)))
    ? Number(text)
    : jsonText(text);
}
