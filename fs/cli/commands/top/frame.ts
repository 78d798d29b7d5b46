/** One screen of `eventfs top`, as lines. */
import { parseEvent } from '../../../client/events/text.js';
import type { Rate, Rates } from '../../../client/rates.js';
import type { LoggedEvent, MountStatus } from '../../../client/sample.js';
import { type Subscriber, lags } from '../../../client/status.js';
import { count, counted, duration, rateText, short } from '../../terminal/numbers.js';
import { type Screen, shown } from '../../terminal/screen.js';
import { type Column, cut, table } from '../../terminal/table.js';
import { wrap } from '../../terminal/wrap.js';
import type { Sort } from './sorts.js';
import { lostByAll, numberOf, waiting } from '../status/summary.js';

/** The content of a screen. */
interface Shown {
  readonly path: string;
  readonly now: MountStatus;
  readonly rates: Rates;
  /** The newest events of `log/`, newest first. */
  readonly newest: readonly LoggedEvent[];
  readonly sort: Sort;
  /** A line for the bottom: the keys, or a warning. */
  readonly bottom: string;
}

/** A row of the table, with its rates. */
interface Row {
  readonly subscriber: Subscriber;
  readonly rate: Rate;
  readonly losing: Rate;
}

const COLUMNS: readonly Column[] = [
  { title: 'NAME', least: 4, rank: 0 },
  { title: 'PID', isNumber: true, rank: 4 },
  { title: 'COMMAND', least: 7, rank: 3 },
  { title: 'WAIT', isNumber: true, rank: 0 },
  { title: 'EV/S', isNumber: true, rank: 0 },
  { title: 'LOST/S', isNumber: true, rank: 2 },
  { title: 'LOST', isNumber: true, rank: 1 },
  { title: 'FILTER', least: 8, rank: 5 },
];

/** Below this width numbers are short: `41.0k`. */
const NARROW = 60;
/** The share of the lines that the newest events have at least, where there are enough lines. */
const NEWEST_SHARE = 1 / 4;
const ENOUGH_LINES = 10;
/** The most events that a screen shows. */
export const MOST_NEWEST = 10;

/**
 * Formats a screen.
 *
 * @returns lines as wide as the screen at most; on a terminal no more than it has rows
 */
export function frame(view: Shown, screen: Screen): string[] {
  const head = headLines(view, screen);
  const bottom = view.bottom === '' ? [] : [cut(view.bottom, screen.columns, screen.isUtf8)];
  const rows = sorted(view);
  const room = screen.rows - head.length - bottom.length;
  const newest = room < ENOUGH_LINES ? [] : newestLines(view.newest, screen);
  const forNewest = Math.min(
    newest.length,
    Math.max(Math.floor(room * NEWEST_SHARE), room - rows.length - 3),
  );
  const listed = tableLines(rows, room - forNewest - (forNewest > 0 ? 2 : 1), screen);
  const body = [
    ...head,
    '',
    ...listed,
    ...(forNewest > 0 ? ['', ...newest.slice(0, forNewest)] : []),
  ];
  if (bottom.length === 0) return body.slice(0, screen.rows);
  const filled = Array.from({ length: screen.rows - 1 }, (_, at) => body[at] ?? '');
  return [...filled, ...bottom];
}

function headLines({ path, now, rates }: Shown, screen: Screen): string[] {
  const { daemon, subscribers } = now;
  const { bold } = screen.colors;
  const place = shown(Buffer.from(path).toString('latin1'), screen);
  const up = duration(Date.now() / 1000 - numberOf(daemon, 'STARTED'));
  const sources = (['KERNEL', 'UDEV', 'PUBLISHED'] as const)
    .filter((key) => key === 'PUBLISHED' || daemon.has(`${key}_BUFFER`))
    .map((key) => `${key.toLowerCase()} ${rateText(rates.of(key))}`);
  const lagging = subscribers.filter(lags).length;
  const facts = [
    `events/s: ${sources.join(', ')}; lost by sources: ${count(numberOf(daemon, 'LOST'))}`,
    `${counted(subscribers.length, 'reader')}, ${lagging === 0 ? 'none lags' : `${count(lagging)} ${lagging === 1 ? 'lags' : 'lag'}`}; ${count(waiting(now))} wait, ${count(lostByAll(daemon))} lost`,
  ];
  const title = `eventfs top: ${place}, daemon ${daemon.get('DAEMON') ?? '?'}, for ${up}`;
  const fitted = (text: string): string => cut(text, screen.columns, screen.isUtf8);
  if (screen.columns >= NARROW)
    return [
      bold(fitted(title)),
      ...facts.flatMap((fact) => wrap(fact, screen.columns)).map(fitted),
    ];
  return [
    bold(fitted(`top: ${place}`)),
    fitted(sources.join(', ')),
    fitted(`${count(waiting(now))} wait, ${short(lostByAll(daemon))} lost`),
  ];
}

function sorted({ now, rates, sort }: Shown): Row[] {
  const rows = now.subscribers.map((subscriber) => ({
    subscriber,
    rate: rates.added(subscriber),
    losing: rates.lost(subscriber),
  }));
  const order: Readonly<Record<Sort, (a: Row, b: Row) => number>> = {
    waiting: (a, b) => b.subscriber.pending - a.subscriber.pending,
    rate: (a, b) => (b.rate ?? 0) - (a.rate ?? 0),
    lost: (a, b) => (b.losing ?? 0) - (a.losing ?? 0) || b.subscriber.lost - a.subscriber.lost,
    name: (a, b) => (a.subscriber.what < b.subscriber.what ? -1 : 1),
  };
  return rows.sort((a, b) => order[sort](a, b) || a.subscriber.pid - b.subscriber.pid);
}

function tableLines(rows: readonly Row[], room: number, screen: Screen): string[] {
  const number = screen.columns < NARROW ? short : count;
  const { yellow, bold } = screen.colors;
  // One line for the title, and one for the number of the others.
  const most = rows.length + 1 <= room ? rows.length : Math.max(room - 2, 0);
  const listed = rows.slice(0, most);
  const lines = table(
    COLUMNS,
    listed.map(({ subscriber, rate, losing }) => [
      shown(subscriber.what, screen),
      String(subscriber.pid),
      shown(subscriber.command, screen),
      number(subscriber.pending),
      rateText(rate),
      rateText(losing),
      number(subscriber.lost),
      subscriber.filter === '' ? '(all)' : shown(subscriber.filter, screen),
    ]),
    screen,
    (line, row) => (row < 0 ? bold(line) : lags(listed[row].subscriber) ? yellow(line) : line),
  );
  return most === rows.length
    ? lines
    : [...lines, cut(`and ${count(rows.length - most)} more`, screen.columns, screen.isUtf8)];
}

const TIME_COLUMNS: readonly Column[] = [
  { title: 'LATEST', rank: 3 },
  { title: 'ACTION', rank: 0 },
  { title: 'SUBSYSTEM', least: 6, rank: 2 },
  { title: 'DEVPATH', least: 8, rank: 1 },
];

/** Returns the title and a line an event; nothing without events. */
function newestLines(newest: readonly LoggedEvent[], screen: Screen): string[] {
  if (newest.length === 0) return [];
  const rows = newest.map(({ text, timeMs }) => {
    const event = parseEvent(text);
    return [
      new Date(timeMs).toTimeString().slice(0, 8),
      shown(event.action, screen),
      shown(event.property('SUBSYSTEM') ?? '-', screen),
      shown(event.devpath, screen),
    ];
  });
  return table(TIME_COLUMNS, rows, screen, (line, row) =>
    row < 0 ? screen.colors.bold(line) : line,
  );
}
