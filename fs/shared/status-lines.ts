/**
 * `.status`: one KEY=VALUE a line, like an event. The daemon writes these keys and the commands read them, so that a key that is
 * written in one place and misspelt in another does not compile.
 */
import { ITEMS, type Item, type Limit, type QuotaKind } from './quota-items.js';

type Source = 'KERNEL' | 'UDEV';
type Socket = 'SOCKET' | 'FDSOCKET';

/** The keys of `log/.status`. */
export type DaemonKey =
  | 'DAEMON'
  | 'SEQNUM'
  | Source
  | 'PUBLISHED'
  | 'PUBLISH_CUT'
  | 'LOST'
  | 'KEPT'
  | 'DIRECTORIES'
  | 'OWNERS'
  | 'STREAMS'
  | 'NODES'
  | 'HANDLES'
  | 'EVENTS'
  | 'BYTES'
  | 'MEMORY'
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
  | 'TRANSPORT'
  | 'PARKED'
  | 'STARVED'
  | 'COLLECTIONS'
  | 'COLLECTION_MS'
  | `${Source}_${'BUFFER' | 'OVERRUNS' | 'GAPS' | 'LATE' | 'FORGED' | 'MALFORMED'}`
  | `${'REBROADCAST' | 'UDEV_OUT'}_${'SENT' | 'REFUSED'}`
  | `${Socket}_${'SUBSCRIBERS' | 'SENT' | 'LOST' | 'REFUSED'}`
  | `FIFODIR_${'WRITES' | 'FULL' | 'STALE' | 'SKIPPED' | 'LOST'}`
  | SubscriberKey
  | 'STREAMS_NOT_LISTED';

/** The keys of a process directory's `.status`. */
export type DirectoryKey =
  | 'OWNER'
  | 'PENDING'
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

export type StatusKey = DaemonKey | DirectoryKey;
export type StatusLine = readonly [key: StatusKey, value: string | number];
export type StatusLines = readonly StatusLine[];

/** What a `.status` file says, by key. */
export type Status = ReadonlyMap<StatusKey, string>;

/** A key's part that is an item's or a limit's name. */
export function upperCase<T extends string>(text: T): Uppercase<T> {
  return text.toUpperCase() as Uppercase<T>;
}

// ---- one line a subscriber: an open stream, or a client of a socket

export type SubscriberKey = `${'STREAM' | Socket}_${number}`;

const SUBSCRIBER_KEY = /^(STREAM|SOCKET|FDSOCKET)_\d+$/;

export interface SubscriberStatus {
  readonly pid: number;
  /** Of a client of a socket; an open stream's user is not known. */
  readonly uid?: number;
  /** How many events wait for it. */
  readonly pending: number;
  readonly lost: number;
  readonly filter: string;
}

export function subscriberText({ pid, uid, pending, lost, filter }: SubscriberStatus): string {
  return `pid=${pid} ${uid === undefined ? '' : `uid=${uid} `}pending=${pending} lost=${lost} filter=${filter.replaceAll('\n', '; ')}`;
}

/** @returns what the line is about, as in `stream`, or undefined where it is about no subscriber */
export function subscriberKind(key: string): string | undefined {
  return SUBSCRIBER_KEY.exec(key)?.[1].toLowerCase();
}

/** Reads a line of `subscriberText`. */
export function parseSubscriber(text: string): SubscriberStatus {
  const [, pid, uid, pending, lost, filter] =
    /^pid=(\d+) (?:uid=(\d+) )?pending=(\d+) lost=(\d+) filter=(.*)$/.exec(text) ?? [
      '',
      '0',
      undefined,
      '0',
      '0',
      '',
    ];
  return {
    pid: Number(pid),
    ...(uid !== undefined && { uid: Number(uid) }),
    pending: Number(pending),
    lost: Number(lost),
    filter,
  };
}

// ---- one line a user or group that is bounded and holds anything

export type QuotaKey = `QUOTA_${Uppercase<QuotaKind>}_${number}`;

const QUOTA_KEY = /^QUOTA_(UID|GID|MOUNT)_(\d+)$/;

/** What is held of an item, and how much may be: Infinity where there is no bound. */
export interface Held {
  readonly held: number;
  readonly most: number;
}

export type HeldItems = Readonly<Record<Item, Held>>;

export function mostText(most: number): number | string {
  return most === Infinity ? 'unlimited' : most;
}

/** `directories=2/256 ...` */
export function heldText(held: HeldItems): string {
  return ITEMS.map((item) => `${item}=${held[item].held}/${mostText(held[item].most)}`).join(' ');
}

/** @returns whose line it is, or undefined where it is none of `heldText` */
export function quotaOwner(
  key: string,
): { readonly kind: QuotaKind; readonly id: string } | undefined {
  const [, kind, id] = QUOTA_KEY.exec(key) ?? [];
  return kind === undefined ? undefined : { kind: kind.toLowerCase() as QuotaKind, id };
}

/** Reads a line of `heldText`. */
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

// ---- the limits that have refused something

/** @returns the limit and how often it refused, or undefined where the line is about none */
export function refusalOf(key: string): Limit | 'descriptors' | undefined {
  return key.startsWith('REFUSED_')
    ? (key.slice('REFUSED_'.length).toLowerCase() as Limit | 'descriptors')
    : undefined;
}
