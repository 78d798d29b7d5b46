/**
 * The lines of `.status` files: one KEY=VALUE a line, like an event. The daemon writes these keys
 * and the commands read them, so a key that is misspelt on one side does not compile.
 */
import { ITEMS, type Item, type Limit, type QuotaKind } from './quota-items.js';

type Source = 'KERNEL' | 'UDEV';
type Socket = 'SOCKET' | 'FDSOCKET';

/** The keys of `log/.status`. */
export type DaemonKey =
  | 'DAEMON'
  | 'STARTED'
  | 'SEQNUM'
  | 'RATE'
  | Source
  | 'PUBLISHED'
  | 'PUBLISH_CUT'
  | 'LOST'
  | 'KEPT'
  | 'MOST_KEPT'
  | `${'DIRECTORIES' | 'STREAMS'}_${'PENDING' | 'LOST'}`
  | 'DIRECTORIES'
  | 'OWNERS'
  | `OWNERS_${'EXITED' | 'SIGNALLED' | 'UNKNOWN'}`
  | 'STREAMS'
  | 'NODES'
  | 'HANDLES'
  | 'EVENTS'
  | 'BYTES'
  | 'MEMORY'
  | 'READS'
  | `MOST_${Uppercase<Item>}`
  | 'REFUSED'
  | `REFUSED_${Uppercase<Limit>}`
  | 'REFUSED_DESCRIPTORS'
  | QuotaKey
  | 'QUOTAS_NOT_LISTED'
  | 'NOTIFIER'
  | 'NOTICES'
  | 'NOTICE_BATCHES'
  | 'WATCHED'
  | 'UNTOLD'
  | 'GHOSTS'
  | 'GUARDED'
  | 'RESTARTS'
  | 'RELOADS'
  | 'STANDBY'
  | 'TRANSPORT'
  | 'PARKED'
  | 'STARVED'
  | 'HUNG'
  | 'REQUEST_TIMEOUT'
  | 'EXPIRED'
  | 'COLLECTIONS'
  | 'COLLECTION_MS'
  | `${Source}_${'BUFFER' | 'OVERRUNS' | 'GAPS' | 'LATE' | 'FORGED' | 'MALFORMED'}`
  | `${'REBROADCAST' | 'UDEV_OUT'}_${'SENT' | 'REFUSED' | 'REMOTE'}`
  | `${Socket}_${'SUBSCRIBERS' | 'SENT' | 'LOST' | 'REFUSED'}`
  | `FIFODIR_${'WRITES' | 'FULL' | 'STALE' | 'SKIPPED' | 'LOST'}`
  | `NETNS_${'OPEN' | 'SENT' | 'REFUSED'}`
  | NamespaceKey
  | SubscriberKey
  | 'STREAMS_NOT_LISTED';

/** The keys of a process directory's `.status`. */
export type DirectoryKey =
  | 'OWNER'
  | 'PENDING'
  | 'OLDEST'
  | 'ADDED'
  | 'BYTES'
  | 'LOST'
  | 'UID'
  | 'GID'
  | 'MOST_EVENTS'
  | 'MOST_BYTES'
  | 'OVERFLOW'
  | 'STREAMS'
  | 'WAITING'
  | 'NOTICES'
  | 'FILTER';

/** The keys of any `.status` file. */
export type StatusKey = DaemonKey | DirectoryKey;
/** One line of a `.status` file. */
export type StatusLine = readonly [key: StatusKey, value: string | number];
/** Lines of a `.status` file, in order. */
export type StatusLines = readonly StatusLine[];

/** The values of a `.status` file by key. */
export type Status = ReadonlyMap<StatusKey, string>;

/** Returns a name in upper case: the part of a key that names an item or a limit. */
export function upperCase<T extends string>(text: T): Uppercase<T> {
  return text.toUpperCase() as Uppercase<T>;
}

// ---- one line for each subscriber: an open stream, or a client of a socket

/** The key of a network namespace's line, of the option `--netns`. */
export type NamespaceKey = `NETNS_${number}`;

/** The key of a subscriber's line. */
export type SubscriberKey = `${'STREAM' | Socket}_${number}`;

const SUBSCRIBER_KEY = /^(STREAM|SOCKET|FDSOCKET)_\d+$/;

const SUBSCRIBER =
  /^pid=(?<pid>\d+) (?:uid=(?<uid>\d+) )?id=(?<id>\d+) pending=(?<pending>\d+) lost=(?<lost>\d+) added=(?<added>\d+) filter=(?<filter>.*)$/;

/** The values of a subscriber's line. */
interface SubscriberStatus {
  readonly pid: number;
  /** Its number: no other subscriber of the same kind has had it. */
  readonly id: number;
  /** The user of a client of a socket. The user of an open stream is unknown. */
  readonly uid?: number;
  /** The number of events that wait for it. */
  readonly pending: number;
  /** The number of events that it has lost. */
  readonly lost: number;
  /** The number of events that have come for it, lost ones included. */
  readonly added: number;
  readonly filter: string;
}

/** Formats a subscriber's line. It joins the lines of the filter with `; `. */
export function subscriberText(subscriber: SubscriberStatus): string {
  const { pid, id, uid, pending, lost, added, filter } = subscriber;
  const user = uid === undefined ? '' : `uid=${uid} `;
  return `pid=${pid} ${user}id=${id} pending=${pending} lost=${lost} added=${added} filter=${filter.replaceAll('\n', '; ')}`;
}

/**
 * Returns the kind of subscriber that a key names, as in `stream`.
 *
 * @returns undefined if the key is not a subscriber's
 */
export function subscriberKind(key: string): string | undefined {
  return SUBSCRIBER_KEY.exec(key)?.[1].toLowerCase();
}

/**
 * Parses a line of {@link subscriberText}.
 *
 * @returns zeros and an empty filter if the text has another form
 */
export function parseSubscriber(text: string): SubscriberStatus {
  const { pid, id, uid, pending, lost, added, filter } = SUBSCRIBER.exec(text)?.groups ?? {};
  return {
    pid: Number(pid ?? 0),
    id: Number(id ?? 0),
    ...(uid !== undefined && { uid: Number(uid) }),
    pending: Number(pending ?? 0),
    lost: Number(lost ?? 0),
    added: Number(added ?? 0),
    filter: filter ?? '',
  };
}

// ---- one line for each network namespace of --netns

/** The values of a namespace's line. */
interface NetnsStatus {
  readonly path: string;
  /** Whether the path still names the namespace. */
  readonly isOpen: boolean;
  /** The number of events that the kernel has sent there. */
  readonly sent: number;
  /** The number of events that it has rejected. */
  readonly refused: number;
  readonly filter: string;
}

/** Formats a namespace's line. It joins the lines of the filter with `; `. */
export function netnsText({ path, isOpen, sent, refused, filter }: NetnsStatus): string {
  return `${isOpen ? 'open' : 'closed'} sent=${sent} refused=${refused} path=${path} filter=${filter.replaceAll('\n', '; ')}`;
}

// ---- one line for each user or group that has a bound and holds any item

/** The key of the line of a user, of a group or of the mount. */
export type QuotaKey = `QUOTA_${Uppercase<QuotaKind>}_${number}`;

const QUOTA_KEY = /^QUOTA_(UID|GID|MOUNT)_(\d+)$/;

/** The amount that a holder has of an item. */
interface Held {
  readonly held: number;
  /** The bound; Infinity if there is none. */
  readonly most: number;
}

/** The amounts of all items. */
export type HeldItems = Readonly<Record<Item, Held>>;

/** Formats a bound: `unlimited` for Infinity. */
export function mostText(most: number): number | string {
  return most === Infinity ? 'unlimited' : most;
}

/** Formats a line of amounts and bounds, as in `directories=2/256 ...`. */
export function heldText(held: HeldItems): string {
  return ITEMS.map((item) => `${item}=${held[item].held}/${mostText(held[item].most)}`).join(' ');
}

/**
 * Returns the holder that the key of a quota's line names.
 *
 * @returns undefined if the key is not a quota's
 */
export function quotaOwner(
  key: string,
): { readonly kind: QuotaKind; readonly id: string } | undefined {
  const [, kind, id] = QUOTA_KEY.exec(key) ?? [];
  return kind === undefined ? undefined : { kind: kind.toLowerCase() as QuotaKind, id };
}

/** Parses a line of {@link heldText}. A missing item is 0 of an unlimited amount. */
export function parseHeld(text: string): HeldItems {
  const found = new Map(
    [...text.matchAll(/(\w+)=(\d+)\/(\w+)/g)].map(([, item, held, most]) => [
      item,
      { held: Number(held), most: most === 'unlimited' ? Infinity : Number(most) },
    ]),
  );
  return Object.fromEntries(
    ITEMS.map((item) => [item, found.get(item) ?? { held: 0, most: Infinity }]),
  ) as Record<Item, Held>;
}

// ---- the limits that have refused an operation

/**
 * Returns the limit that the key of a line of refusals names.
 *
 * @returns undefined if the key names no limit
 */
export function refusalOf(key: string): Limit | 'descriptors' | undefined {
  return key.startsWith('REFUSED_')
    ? (key.slice('REFUSED_'.length).toLowerCase() as Limit | 'descriptors')
    : undefined;
}
