/** The first lines of `eventfs status`: the mount in sentences. */
import type { MountStatus } from '../../../client/sample.js';
import { lags } from '../../../client/status.js';
import type { Status, StatusKey } from '../../../shared/status-lines.js';
import { count, counted, duration, rateText } from '../../terminal/numbers.js';
import { type Screen, shown } from '../../terminal/screen.js';
import { labelled } from '../../terminal/table.js';
import { wrap } from '../../terminal/wrap.js';

/** The kinds of subscribers: the line with their number, and the noun. */
const KINDS: readonly (readonly [StatusKey, string, string])[] = [
  ['DIRECTORIES', 'process directory', 'process directories'],
  ['STREAMS', 'stream', 'streams'],
  ['SOCKET_SUBSCRIBERS', 'client of --socket', 'clients of --socket'],
  ['FDSOCKET_SUBSCRIBERS', 'client of --fd-socket', 'clients of --fd-socket'],
];

/** A line of the summary. */
type Fact = [label: string, text: string, isWarning?: boolean];

/**
 * Describes a mount.
 *
 * @param path the mount's path
 * @param stuck how many requests got no answer; undefined if that is unknown
 */
export function summary(
  path: string,
  now: MountStatus,
  stuck: number | undefined,
  screen: Screen,
): string[] {
  const { daemon, subscribers, unreadable } = now;
  const { bold, yellow } = screen.colors;
  const lagging = subscribers.filter(lags).length;
  const refused = numberOf(daemon, 'REFUSED');
  const facts: Fact[] = [
    ['daemon', daemonText(daemon)],
    ...holderFact(daemon),
    ['source', sourceText(daemon), numberOf(daemon, 'LOST') > 0],
    ['published', `${counted(numberOf(daemon, 'PUBLISHED'), 'event')} by programs`],
    ['rate', `${rateText(numberOf(daemon, 'RATE'))} events/s in the last minute`],
    ['readers', readersText(daemon, unreadable)],
    ['waiting', `${counted(waiting(now), 'event')} for all readers together`],
    ['lost', lostText(lostByAll(daemon)), lostByAll(daemon) > 0],
    ['lagging', laggingText(lagging), lagging > 0],
  ];
  if ((stuck ?? 0) > 0)
    facts.push(['stuck', `${counted(stuck!, 'request')} without an answer (eventfs doctor)`, true]);
  if (refused > 0)
    facts.push(['refused', `${counted(refused, 'operation')} by limits (eventfs doctor)`, true]);
  return [
    ...wrap(
      `eventfs on ${shown(Buffer.from(path).toString('latin1'), screen)}`,
      screen.columns,
    ).map((line) => bold(line)),
    ...facts.flatMap(([label, text, isWarning = false]) =>
      labelled(label, text, screen).map((line) => (isWarning ? yellow(line) : line)),
    ),
  ];
}

/** Returns a line's number; 0 without the line. */
export function numberOf(daemon: Status, key: StatusKey): number {
  return Number(daemon.get(key) ?? 0);
}

/** Returns how many events wait for all subscribers, also for those that this user can't read. */
export function waiting({ daemon, subscribers }: MountStatus): number {
  return subscribers
    .filter(({ what, key }) => key.startsWith(`${what} `) && what !== 'stream')
    .reduce(
      (sum, { pending }) => sum + pending,
      numberOf(daemon, 'DIRECTORIES_PENDING') + numberOf(daemon, 'STREAMS_PENDING'),
    );
}

/** Returns how many events all subscribers have lost, those that have ended included. */
export function lostByAll(daemon: Status): number {
  const keys = ['DIRECTORIES_LOST', 'STREAMS_LOST', 'SOCKET_LOST', 'FDSOCKET_LOST'] as const;
  return keys.reduce((sum, key) => sum + numberOf(daemon, key), 0);
}

function daemonText(daemon: Status): string {
  const seconds = Date.now() / 1000 - numberOf(daemon, 'STARTED');
  const transport = daemon.get('TRANSPORT');
  const how = transport === 'io-uring' ? ', requests by io_uring' : '';
  return `process ${daemon.get('DAEMON') ?? '?'}, for ${duration(seconds)}${how}`;
}

/**
 * Returns the line of the process that keeps the mount while no daemon runs; none without such a
 * process.
 */
function holderFact(daemon: Status): Fact[] {
  const holder = daemon.get('GUARDED');
  if (holder === undefined) return [];
  if (holder === 'lost')
    return [['kept', 'no longer: the guardian has ended (eventfs doctor)', true]];
  if (holder !== 'guardian') return [['kept', `by ${holder}, if the daemon dies`]];
  const restarts = counted(numberOf(daemon, 'RESTARTS'), 'restart');
  const reloads = counted(numberOf(daemon, 'RELOADS'), 'reload');
  const standby = daemon.get('STANDBY') === '1' ? '; the next daemon waits' : '';
  return [['kept', `by a guardian, if the daemon dies; ${restarts}, ${reloads}${standby}`]];
}

/**
 * Names the sources. A source has a line for its socket's buffer as long as the daemon reads from
 * it.
 */
function sourceText(daemon: Status): string {
  const sources = [
    ...(daemon.has('KERNEL_BUFFER')
      ? [`the kernel, ${counted(numberOf(daemon, 'KERNEL'), 'event')}`]
      : []),
    ...(daemon.has('UDEV_BUFFER') ? [`udevd, ${counted(numberOf(daemon, 'UDEV'), 'event')}`] : []),
  ];
  if (sources.length === 0) return 'none: only programs publish events here';
  const lost = numberOf(daemon, 'LOST');
  return `${sources.join('; ')}; ${lost === 0 ? 'none lost' : `${count(lost)} lost (eventfs coldplug)`}`;
}

function readersText(daemon: Status, unreadable: number): string {
  const kinds = KINDS.flatMap(([key, one, many]) => {
    const number = numberOf(daemon, key);
    return number > 0 ? [counted(number, one, many)] : [];
  });
  const hidden =
    unreadable === 0
      ? ''
      : ` (${counted(unreadable, 'directory', 'directories')} you may not read)`;
  return `${kinds.length === 0 ? 'none' : kinds.join(', ')}${hidden}`;
}

function lostText(lost: number): string {
  return lost === 0 ? 'none' : `${counted(lost, 'event')}, because readers were too slow`;
}

function laggingText(lagging: number): string {
  return lagging === 0 ? 'none' : `${counted(lagging, 'reader')} (eventfs status --lagging)`;
}
