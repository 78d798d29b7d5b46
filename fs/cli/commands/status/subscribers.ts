/** The table of subscribers of `eventfs status`. */
import { type Subscriber, lags } from '../../../client/status.js';
import { age, count, short } from '../../terminal/numbers.js';
import { type Screen, shown } from '../../terminal/screen.js';
import { type Column, table } from '../../terminal/table.js';

const COLUMNS: readonly Column[] = [
  { title: 'NAME', least: 4, rank: 0 },
  { title: 'PID', isNumber: true, rank: 3 },
  { title: 'COMMAND', least: 7, rank: 2 },
  { title: 'WAIT', isNumber: true, rank: 0 },
  { title: 'OLDEST', isNumber: true, rank: 4 },
  { title: 'LOST', isNumber: true, rank: 0 },
  { title: 'FILTER', least: 8, rank: 5 },
];

/** Below this width numbers are short: `41.0k`. */
const NARROW = 60;

/** Orders subscribers: those that lag come first, then those for which most events wait. */
export function laggingFirst(subscribers: readonly Subscriber[]): Subscriber[] {
  return [...subscribers].sort(
    (a, b) => Number(lags(b)) - Number(lags(a)) || b.lost - a.lost || b.pending - a.pending,
  );
}

/** Formats the table. The rows of subscribers that lag are yellow. */
export function subscriberTable(subscribers: readonly Subscriber[], screen: Screen): string[] {
  const number = screen.columns < NARROW ? short : count;
  const nowSeconds = Date.now() / 1000;
  const rows = subscribers.map(({ what, pid, command, pending, oldest = 0, lost, filter }) => [
    shown(what, screen),
    String(pid),
    shown(command, screen),
    number(pending),
    oldest > 0 ? age(nowSeconds - oldest) : '-',
    number(lost),
    filter === '' ? '(all)' : shown(filter, screen),
  ]);
  const { yellow, bold } = screen.colors;
  return table(COLUMNS, rows, screen, (line, row) =>
    row < 0 ? bold(line) : lags(subscribers[row]) ? yellow(line) : line,
  );
}
