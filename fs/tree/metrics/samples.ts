/** Makes the samples of `log/.metrics` from the lines of `log/.status`. */
import {
  type DaemonKey,
  type StatusLines,
  parseHeld,
  parseSubscriber,
  quotaOwner,
  refusalOf,
  subscriberKind,
  upperCase,
} from '../../shared/status-lines.js';
import { ITEMS } from '../../shared/quota-items.js';
import type { Totals } from '../streams/stream-status.js';
import type { FamilyName, Labels, Sample } from './families.js';

type Place = readonly [family: FamilyName, labels?: Labels];

const SOURCES = ['KERNEL', 'UDEV'] as const;
const NETLINK_OUTLETS = ['REBROADCAST', 'UDEV_OUT', 'NETNS'] as const;
const SOCKETS = ['SOCKET', 'FDSOCKET'] as const;

/** The sample that the line of each key becomes. Keys with a number in them are not here. */
const PLACES: ReadonlyMap<string, Place> = new Map<DaemonKey, Place>([
  ['STARTED', ['start_time_seconds']],
  ['SEQNUM', ['kernel_seqnum']],
  ['KERNEL', ['events_total', { source: 'kernel' }]],
  ['UDEV', ['events_total', { source: 'udev' }]],
  ['PUBLISHED', ['events_total', { source: 'published' }]],
  ['PUBLISH_CUT', ['publish_cut_total']],
  ['LOST', ['source_lost_events_total']],
  ['KEPT', ['ring_events']],
  ['MOST_KEPT', ['ring_events_limit']],
  ['DIRECTORIES', ['subscribers', { kind: 'directory' }]],
  ['STREAMS', ['subscribers', { kind: 'stream' }]],
  ['OWNERS', ['owners']],
  ['OWNERS_EXITED', ['owners_ended_total', { how: 'exited' }]],
  ['OWNERS_SIGNALLED', ['owners_ended_total', { how: 'signalled' }]],
  ['OWNERS_UNKNOWN', ['owners_ended_total', { how: 'unknown' }]],
  ['NODES', ['nodes']],
  ['HANDLES', ['open_files']],
  ['PARKED', ['blocked_reads']],
  ['EVENTS', ['held', { item: 'events' }]],
  ['BYTES', ['held', { item: 'bytes' }]],
  ['MEMORY', ['held', { item: 'memory' }]],
  ['READS', ['held', { item: 'reads' }]],
  ...ITEMS.map((item): [DaemonKey, Place] => [`MOST_${upperCase(item)}`, ['held_limit', { item }]]),
  ['REFUSED', ['refusals_total']],
  ['NOTICES', ['notices_total']],
  ['NOTICE_BATCHES', ['notice_batches_total']],
  ['WATCHED', ['watched_directories']],
  ['UNTOLD', ['untold_directories']],
  ['GHOSTS', ['ghosts']],
  ['STARVED', ['ring_stalls_total']],
  ['COLLECTIONS', ['collections_total']],
  ...SOURCES.flatMap((key): [DaemonKey, Place][] => {
    const source = key.toLowerCase();
    const dropped = (reason: string): Place => [
      'source_dropped_datagrams_total',
      { source, reason },
    ];
    return [
      [`${key}_BUFFER`, ['source_buffer_bytes', { source }]],
      [`${key}_OVERRUNS`, ['source_overruns_total', { source }]],
      [`${key}_GAPS`, ['source_gaps_total', { source }]],
      [`${key}_LATE`, dropped('late')],
      [`${key}_FORGED`, dropped('forged')],
      [`${key}_MALFORMED`, dropped('malformed')],
    ];
  }),
  ...NETLINK_OUTLETS.flatMap((key): [DaemonKey, Place][] => [
    [`${key}_SENT`, ['outlet_sent_events_total', { outlet: key.toLowerCase() }]],
    [`${key}_REFUSED`, ['outlet_refused_total', { outlet: key.toLowerCase() }]],
  ]),
  ...(['REBROADCAST', 'UDEV_OUT'] as const).map((key): [DaemonKey, Place] => [
    `${key}_REMOTE`,
    ['outlet_remote_events_total', { outlet: key.toLowerCase() }],
  ]),
  ...SOCKETS.flatMap((key): [DaemonKey, Place][] => [
    [`${key}_SUBSCRIBERS`, ['subscribers', { kind: key.toLowerCase() }]],
    [`${key}_SENT`, ['outlet_sent_events_total', { outlet: key.toLowerCase() }]],
    [`${key}_LOST`, ['lost_events_total', { kind: key.toLowerCase() }]],
    [`${key}_REFUSED`, ['outlet_refused_total', { outlet: key.toLowerCase() }]],
  ]),
  ['NETNS_OPEN', ['open_namespaces']],
  ['FIFODIR_WRITES', ['fifodir_writes_total']],
  ['FIFODIR_FULL', ['fifodir_unwritten_total', { reason: 'full' }]],
  ['FIFODIR_STALE', ['fifodir_unwritten_total', { reason: 'stale' }]],
  ['FIFODIR_SKIPPED', ['fifodir_unwritten_total', { reason: 'skipped' }]],
  ['FIFODIR_LOST', ['fifodir_lost_bytes_total']],
]);

/**
 * Converts the lines of `log/.status`. Lines of single streams are left out: their labels would be
 * new with each process. The clients of a socket become one number.
 */
export function samplesOf(lines: StatusLines): Sample[] {
  const samples: Sample[] = [];
  const add = (family: FamilyName, value: number, labels: Labels = {}): void => {
    if (Number.isFinite(value)) samples.push({ family, labels, value });
  };
  for (const [key, value] of lines) {
    const place = PLACES.get(key);
    if (place !== undefined) add(place[0], Number(value), place[1]);
    else if (key === 'TRANSPORT') add('daemon_info', 1, { transport: String(value) });
    else if (key === 'NOTIFIER') add('notifier_up', Number(value) === 0 ? 0 : 1);
    else if (key === 'COLLECTION_MS') add('last_collection_seconds', Number(value) / 1000);
    else {
      const owner = quotaOwner(key);
      const limit = refusalOf(key);
      if (limit !== undefined) add('limit_refusals_total', Number(value), { limit });
      if (owner !== undefined) samples.push(...quotaSamples(owner, String(value)));
    }
  }
  for (const socket of SOCKETS) samples.push(...pendingOfSocket(lines, socket));
  return samples;
}

/** Returns the samples of all subscribers of one kind. */
export function totalSamples(kind: string, { pending, most, lost }: Totals): Sample[] {
  return [
    ...pendingSamples(kind, pending, most),
    { family: 'lost_events_total', labels: { kind }, value: lost },
  ];
}

function pendingSamples(kind: string, pending: number, most: number): Sample[] {
  return [
    { family: 'pending_events', labels: { kind }, value: pending },
    { family: 'pending_events_max', labels: { kind }, value: most },
  ];
}

function pendingOfSocket(lines: StatusLines, key: (typeof SOCKETS)[number]): Sample[] {
  if (!lines.some(([name]) => name === `${key}_SUBSCRIBERS`)) return [];
  const kind = key.toLowerCase();
  const pending = lines
    .filter(([name]) => subscriberKind(name) === kind)
    .map(([, text]) => parseSubscriber(String(text)).pending);
  return pendingSamples(
    kind,
    pending.reduce((sum, count) => sum + count, 0),
    pending.reduce((most, count) => Math.max(most, count), 0),
  );
}

/** Returns the amounts that a user or group holds of items with a bound. */
function quotaSamples(
  { kind, id }: { readonly kind: string; readonly id: string },
  text: string,
): Sample[] {
  const items = parseHeld(text);
  return ITEMS.filter((item) => items[item].most !== Infinity).flatMap((item): Sample[] => {
    const labels = { kind, id, item };
    return [
      { family: 'quota_held', labels, value: items[item].held },
      { family: 'quota_limit', labels, value: items[item].most },
    ];
  });
}
