/**
 * Defines the keys of /etc/eventfs.toml, their values and their defaults. docs/reference/config.md
 * has an example with every key.
 *
 * The top level holds the options of `eventfs mount`, by their names with `_` for `-`. The command
 * line's parsers read their values. Each table below is a list of keys and their kinds.
 */
import { HISTORY_LIMITS } from '../../bus/bus.js';
import { FILTER_LIMITS, type FilterLimits } from '../../uevent/filter/filter.js';
import type { LogLimits } from '../../bus/log.js';
import type { QueueLimits } from '../../bus/queue.js';
import { MAX_EVENT_BYTES } from '../../uevent/text.js';
import {
  type Bounds,
  DEFAULT_QUOTAS,
  NO_BOUNDS,
  type QuotaRules,
  type Quotas,
} from '../../tree/quota/bounds.js';
import { QUEUE_LIMITS } from '../../tree/settings.js';
import { MOST_ID, accountId } from './account-ids.js';
import { Document } from './document.js';
import { type Kind, oneOf, orUnlimited, size, whole } from './kinds.js';

/** A configuration with all defaults filled in. */
export interface Config {
  /** The options of `eventfs mount` that the file sets, by their keys. */
  readonly mount: Readonly<Record<string, unknown>>;
  readonly queue: QueueLimits;
  /** The log's ring. Streams read from it: its size bounds how far they may lag. */
  readonly ring: LogLimits;
  /** The bounds of the history, which `log/` shows. */
  readonly history: QueueLimits;
  readonly filter: FilterLimits;
  readonly quotas: Quotas;
}

/** The configuration without a file. */
export const DEFAULT_CONFIG: Config = {
  mount: {},
  queue: QUEUE_LIMITS,
  ring: { events: 4096, bytes: 4 * 1024 * 1024 },
  history: HISTORY_LIMITS,
  filter: FILTER_LIMITS,
  quotas: DEFAULT_QUOTAS,
};

const MOST_EVENTS = 1024 ** 2;
const MOST_BYTES = 1024 ** 3;

const QUEUE = {
  events: whole(1, MOST_EVENTS),
  bytes: size(MAX_EVENT_BYTES, MOST_BYTES),
  overflow: oneOf('drop-oldest', 'drop-newest', 'refuse'),
};

const LOG = {
  history_events: whole(1, MOST_EVENTS),
  history_bytes: size(MAX_EVENT_BYTES, MOST_BYTES),
  ring_events: whole(16, MOST_EVENTS),
  ring_bytes: size(4 * MAX_EVENT_BYTES, MOST_BYTES),
};

/** A name in `match/` is a filter of up to 255 bytes; an extended attribute has up to 64 KiB. */
const FILTER = {
  text: size(256, 64 * 1024),
  terms: whole(1, 16 * 1024),
  alternatives: whole(1, 32 * 1024),
};

const MOST_HELD = 10 ** 12;
const count = orUnlimited(whole(0, MOST_HELD));

/** A bound of 0 allows nothing. */
const amount = orUnlimited(size(0, 1024 ** 5));
const BOUNDS = {
  directories: count,
  streams: count,
  reads: count,
  events: count,
  bytes: amount,
  memory: amount,
  filter_cost: count,
};

const EVERYBODY = 'default';

/**
 * Parses and checks a configuration.
 *
 * @param file the file's name in error messages
 * @param text the file's text
 * @param mountKeys the options of `eventfs mount` that a file may set, by their keys
 * @throws UsageError with the line and the reason, for text that is not TOML, an unknown key, or a
 *   value that its key does not allow
 */
export function readConfig(
  file: string,
  text: string,
  mountKeys: Readonly<Record<string, Kind<unknown>>>,
): Config {
  const document = new Document(file, text);
  const tables = ['queue', 'log', 'filter', 'limits', 'quota'];
  const known = [...Object.keys(mountKeys), ...tables];
  const root = document.table([], (key) => known.includes(key), known.join(', '));
  const mount = Object.entries(root).filter(([key]) => !tables.includes(key));
  const log = document.values(['log'], LOG);
  const ring = {
    events: log.ring_events ?? DEFAULT_CONFIG.ring.events,
    bytes: log.ring_bytes ?? DEFAULT_CONFIG.ring.bytes,
  };
  const { history } = DEFAULT_CONFIG;
  return {
    mount: Object.fromEntries(
      mount.map(([key, value]) => [key, document.value([key], value, mountKeys[key])]),
    ),
    queue: { ...DEFAULT_CONFIG.queue, ...document.values(['queue'], QUEUE) },
    ring,
    history: {
      events: withinRing(document, 'events', log.history_events, history.events, ring.events),
      bytes: withinRing(document, 'bytes', log.history_bytes, history.bytes, ring.bytes),
    },
    filter: { ...DEFAULT_CONFIG.filter, ...document.values(['filter'], FILTER) },
    quotas: readQuotas(document),
  };
}

/** Returns a bound of the history. It must fit into the ring: `log/` shows events of the ring. */
function withinRing(
  document: Document,
  unit: 'events' | 'bytes',
  wanted: number | undefined,
  usual: number,
  ring: number,
): number {
  if (wanted !== undefined && wanted > ring)
    document.refuse(
      ['log', `history_${unit}`],
      `${wanted} exceeds log.ring_${unit}, which is ${ring}`,
    );
  return wanted ?? Math.min(usual, ring);
}

function readQuotas(document: Document): Quotas {
  document.table(['quota'], (key) => key === 'uid' || key === 'gid', 'uid, gid');
  return {
    mount: { ...DEFAULT_QUOTAS.mount, ...document.values(['limits'], BOUNDS) },
    uid: readRules(document, 'uid'),
    gid: readRules(document, 'gid'),
  };
}

/**
 * Reads the quotas of one kind. A quota for a specific id inherits unset keys from `default`. Id 0
 * inherits nothing: its unset keys are unlimited.
 */
function readRules(document: Document, kind: 'uid' | 'gid'): QuotaRules {
  const path = ['quota', kind];
  const idOf = (key: string): number | undefined =>
    accountId(kind === 'uid' ? 'passwd' : 'group', key);
  const table = document.table(
    path,
    (key) => key === EVERYBODY || idOf(key) !== undefined,
    `${EVERYBODY}, numbers from 0 to ${MOST_ID}, and names of ${kind === 'uid' ? 'users' : 'groups'} that exist`,
  );
  const others: Bounds = {
    ...DEFAULT_QUOTAS[kind].others,
    ...document.values([...path, EVERYBODY], BOUNDS),
  };
  const ids = Object.keys(table).filter((key) => key !== EVERYBODY);
  const of = ids.map((name): [number, Bounds] => {
    const own = document.values([...path, name], BOUNDS);
    const id = idOf(name)!;
    return [id, { ...(id === 0 ? NO_BOUNDS : others), ...own }];
  });
  return { others, of: new Map(of) };
}
