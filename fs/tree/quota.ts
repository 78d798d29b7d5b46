/**
 * Quotas: how much a user, a group and the whole mount may hold. One ledger charges and gives back; to check and to charge
 * is one step.
 *
 *   directories   process directories                         the directory's uid and gid
 *   streams       open streams                                the opener's
 *   reads         blocked reads                               the reader's
 *   events, bytes links to events, FIFOs and sockets; text    the directory's: each link counts, though bytes are stored once
 *   memory        bytes of V8's heap and of buffers: names,   the directory's, or the opener's
 *                 nodes, handles, filters, open texts
 *   filter_cost   units of work that one event can cost       the directory's, or the opener's
 */
import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import type { Books } from '../events/books.js';
import { Errno, FsError } from '../errno.js';
import type { StatusLines } from './text-file.js';

export const ITEMS = ['directories', 'streams', 'reads', 'events', 'bytes', 'memory', 'filter_cost'] as const;
export type Item = (typeof ITEMS)[number];

/** How many of each may be held; Infinity where there is no bound. */
export type Bounds = Readonly<Record<Item, number>>;

/** The bounds of those that have some of their own, and of all others but 0. */
export interface QuotaRules {
  readonly others: Bounds;
  readonly of: ReadonlyMap<number, Bounds>;
}

export interface Quotas {
  readonly mount: Bounds;
  readonly uid: QuotaRules;
  readonly gid: QuotaRules;
}

export const NO_BOUNDS: Bounds = Object.fromEntries(ITEMS.map((item) => [item, Infinity])) as Bounds;

const MIB = 1024 * 1024;

/** V8 counts its young generation to the heap's limit: three semi-spaces of 16 MiB. What lives long has the rest. */
const YOUNG_GENERATION_BYTES = 48 * MIB;
const HEAP_LIMIT_BYTES = getHeapStatistics().heap_size_limit;
const OLD_SPACE_BYTES = Math.max(HEAP_LIMIT_BYTES - YOUNG_GENERATION_BYTES, HEAP_LIMIT_BYTES / 2);

/** Half of the old space: the other half is the program's own and what the collector needs to move things. */
const MOUNT_MEMORY_BYTES = Math.floor(OLD_SPACE_BYTES / 2);

/** A link costs at most 100 bytes of heap: with that many, most of the heap is still free. */
const HEAP_BYTES_AN_EVENT = 256;

/** What holds where the configuration says nothing. */
export const DEFAULT_QUOTAS: Quotas = {
  mount: {
    directories: 65_536,
    streams: 65_536,
    reads: 65_536,
    events: Math.floor(HEAP_LIMIT_BYTES / HEAP_BYTES_AN_EVENT),
    bytes: Math.floor(totalmem() / 2),
    memory: MOUNT_MEMORY_BYTES,
    filter_cost: Infinity,
  },
  uid: {
    others: {
      directories: 256,
      streams: 1024,
      reads: 1024,
      events: 65_536,
      bytes: 64 * MIB,
      memory: Math.min(64 * MIB, Math.floor(MOUNT_MEMORY_BYTES / 4)),
      filter_cost: 32_768,
    },
    of: new Map(),
  },
  gid: { others: NO_BOUNDS, of: new Map() },
};

/** What one user, one group or the mount holds. */
export class Account {
  directories = 0;
  streams = 0;
  reads = 0;
  events = 0;
  bytes = 0;
  memory = 0;
  filter_cost = 0;

  constructor(
    readonly kind: keyof Quotas,
    /** The uid or gid. */
    readonly id: number,
    public bounds: Bounds,
  ) {}

  get name(): string {
    return this.kind === 'mount' ? 'the mount' : `${this.kind} ${this.id}`;
  }

  get isEmpty(): boolean {
    return ITEMS.every((item) => this[item] === 0);
  }

  fits(events: number, bytes: number): boolean {
    const { bounds } = this;
    return (events <= 0 || this.events + events <= bounds.events) && (bytes <= 0 || this.bytes + bytes <= bounds.bytes);
  }

  add(events: number, bytes: number): void {
    this.events += events;
    this.bytes += bytes;
  }

  /** Whether so much more would do. What is too much already may still shrink. */
  takes(item: Item, amount: number): boolean {
    return amount <= 0 || this[item] + amount <= this.bounds[item];
  }

  /** EDQUOT, or ENOSPC of the mount. */
  refusal(item: Item, amount: number): FsError {
    const why = `${this.name} holds ${this[item]} of ${this.bounds[item]} ${item}`;
    return new FsError(this.kind === 'mount' ? Errno.ENOSPC : Errno.EDQUOT, amount === 1 ? why : `${why}, and ${amount} more do not fit`);
  }
}

/** The accounts that what somebody has is charged to. One for each directory and open stream. */
export class Tab implements Books {
  constructor(
    private readonly ledger: Ledger,
    private readonly user: Account,
    private readonly group: Account,
    private readonly mount: Account,
  ) {}

  get uid(): number {
    return this.user.id;
  }

  get gid(): number {
    return this.group.id;
  }

  charge(events: number, bytes: number): boolean {
    const { user, group, mount } = this;
    if (!user.fits(events, bytes) || !group.fits(events, bytes) || !mount.fits(events, bytes)) return false;
    user.add(events, bytes);
    group.add(events, bytes);
    mount.add(events, bytes);
    return true;
  }

  refund(events: number, bytes: number): void {
    this.user.add(-events, -bytes);
    this.group.add(-events, -bytes);
    this.mount.add(-events, -bytes);
  }

  couldHold(events: number, bytes: number): boolean {
    return this.#accounts.every((account) => account.events + events <= account.bounds.events && account.bytes + bytes <= account.bounds.bytes);
  }

  demand(events: number, bytes: number): void {
    this.ledger.demand(this.#accounts, 'events', events);
    this.ledger.demand(this.#accounts, 'bytes', bytes);
  }

  /** The same for what is charged to `from` by now and comes here. */
  demandFrom(from: Tab, events: number, bytes: number): void {
    this.ledger.demand(this.#differing(from), 'events', events);
    this.ledger.demand(this.#differing(from), 'bytes', bytes);
  }

  /** Charges `amount` of an item. Throws EDQUOT for a user's or group's quota, ENOSPC for the mount's; then nothing is charged. */
  claim(item: Item, amount = 1): void {
    try {
      this.ledger.demand(this.#accounts, item, amount);
      this.forceClaim(item, amount);
    } catch (error) {
      this.ledger.forget(this.user, this.group);
      throw error;
    }
  }

  /** Charges `amount` of an item even where that exceeds a quota: for what cannot be refused any more. */
  forceClaim(item: Item, amount: number): void {
    for (const account of this.#accounts) account[item] += amount;
  }

  /** Gives back what `claim` or `forceClaim` charged. */
  unclaim(item: Item, amount = 1): void {
    for (const account of this.#accounts) account[item] -= amount;
    this.ledger.forget(this.user, this.group);
  }

  keep(events: number, bytes: number): void {
    this.refund(-events, -bytes);
  }

  release(events: number, bytes: number): void {
    this.refund(events, bytes);
    this.ledger.forget(this.user, this.group);
  }

  /** chown(2): all of it is charged to `to` from now on. EDQUOT, and nothing has changed. */
  moveTo(to: Tab, held: Partial<Bounds>): void {
    const [taking, giving] = [to.#differing(this), this.#differing(to)];
    try {
      for (const item of ITEMS) this.ledger.demand(taking, item, held[item] ?? 0);
    } catch (error) {
      this.ledger.forget(to.user, to.group);
      throw error;
    }
    for (const item of ITEMS) {
      for (const account of taking) account[item] += held[item] ?? 0;
      for (const account of giving) account[item] -= held[item] ?? 0;
    }
    this.ledger.forget(this.user, this.group);
  }

  /** Those of our accounts that are none of `other`'s. */
  #differing(other: Tab): Account[] {
    return this.#accounts.filter((account) => !other.#accounts.includes(account));
  }

  get #accounts(): Account[] {
    return [this.user, this.group, this.mount];
  }
}

function most({ bounds }: Account, item: Item): number | string {
  return bounds[item] === Infinity ? 'unlimited' : bounds[item];
}

/** What statfs(2) tells one user: the smallest budget that it is held to, and how much of it is left. */
export interface Budget {
  readonly events: number;
  readonly freeEvents: number;
  readonly bytes: number;
  readonly freeBytes: number;
}

export class Ledger {
  readonly mount: Account;
  readonly users = new Map<number, Account>();
  readonly groups = new Map<number, Account>();
  /** How often somebody was refused. */
  refused = 0;
  /** The same by the limit that did. */
  readonly refusedBy = new Map<string, number>();

  constructor(private quotas: Quotas = DEFAULT_QUOTAS) {
    this.mount = new Account('mount', 0, quotas.mount);
  }

  /** Where what a user and a group have is charged. */
  tab(uid: number, gid: number): Tab {
    return new Tab(this, this.#account('uid', uid, this.users), this.#account('gid', gid, this.groups), this.mount);
  }

  #account(kind: 'uid' | 'gid', id: number, among: Map<number, Account>): Account {
    let account = among.get(id);
    if (account === undefined) {
      account = new Account(kind, id, this.#boundsOf(kind, id));
      among.set(id, account);
    }
    return account;
  }

  /** 0 is not bound by what is said of all. */
  #boundsOf(kind: 'uid' | 'gid', id: number): Bounds {
    const { of, others } = this.quotas[kind];
    return of.get(id) ?? (id === 0 ? NO_BOUNDS : others);
  }

  /** Throws where one of the accounts can't take so much more. */
  demand(accounts: readonly Account[], item: Item, amount: number): void {
    const full = accounts.find((account) => !account.takes(item, amount));
    if (full === undefined) return;
    this.countRefusal(`${full.kind}_${item}`);
    throw full.refusal(item, amount);
  }

  /** A limit has refused somebody: `REFUSED_<LIMIT>` in log/.status, as in `REFUSED_UID_DIRECTORIES`. */
  countRefusal(limit: string): void {
    this.refused++;
    this.refusedBy.set(limit, (this.refusedBy.get(limit) ?? 0) + 1);
  }

  /** Whoever holds nothing needs no account. */
  forget(user: Account, group: Account): void {
    if (user.isEmpty) this.users.delete(user.id);
    if (group.isEmpty) this.groups.delete(group.id);
  }

  /** Other bounds from now on. Where more is held already nothing is taken away, and nothing more is given. */
  setQuotas(quotas: Quotas): void {
    this.quotas = quotas;
    this.mount.bounds = quotas.mount;
    for (const account of [...this.users.values(), ...this.groups.values()]) {
      if (account.kind !== 'mount') account.bounds = this.#boundsOf(account.kind, account.id);
    }
  }

  /** What the mount holds and may hold, and the same of each user and group that is bounded: `QUOTA_UID_1000=directories=2/256 ...`. */
  statusLines(): StatusLines {
    const { mount } = this;
    const accounts = [...this.users.values(), ...this.groups.values()].filter(({ bounds }) => ITEMS.some((item) => bounds[item] !== Infinity));
    return [
      ['EVENTS', mount.events],
      ['BYTES', mount.bytes],
      ...ITEMS.map((item) => [`MOST_${item.toUpperCase()}`, most(mount, item)] as const),
      ['REFUSED', this.refused],
      ...[...this.refusedBy].map(([limit, count]) => [`REFUSED_${limit.toUpperCase()}`, count] as const),
      ...accounts.map((account) => {
        const held = ITEMS.map((item) => `${item}=${account[item]}/${most(account, item)}`);
        return [`QUOTA_${account.kind.toUpperCase()}_${account.id}`, held.join(' ')] as const;
      }),
    ];
  }

  /** statfs(2): the user's own budget, else the group's, else the mount's; of what is free, as much as all of them leave. */
  budget(uid: number, gid: number): Budget {
    const accounts = [
      this.users.get(uid) ?? new Account('uid', uid, this.#boundsOf('uid', uid)),
      this.groups.get(gid) ?? new Account('gid', gid, this.#boundsOf('gid', gid)),
      this.mount,
    ];
    const total = (item: Item): number => accounts.find(({ bounds }) => bounds[item] !== Infinity)?.bounds[item] ?? Number.MAX_SAFE_INTEGER;
    const free = (item: Item): number => Math.max(0, Math.min(total(item), ...accounts.map((account) => account.bounds[item] - account[item])));
    return { events: total('events'), freeEvents: free('events'), bytes: total('bytes'), freeBytes: free('bytes') };
  }
}
