/**
 * Quotas: how much a user, a group and the whole mount may hold. One ledger charges and gives back; to check and to charge
 * is one step.
 *
 *   directories   process directories                         the directory's uid and gid
 *   streams       open streams                                the opener's
 *   reads         blocked reads                               the reader's
 *   events, bytes links to events, FIFOs, sockets and         the directory's: each link counts, though bytes are stored once
 *                 symlinks; text
 *   memory        bytes of V8's heap and of buffers: names,   the directory's, or the opener's
 *                 targets, nodes, handles, filters, open texts
 *   filter_cost   units of work that one event can cost       the directory's, or the opener's
 */
import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import type { EventQuota } from '../bus/quota.js';
import { Errno, FsError } from '../shared/errors.js';
import { LINK_BYTES } from './prices.js';
import { ITEMS, type Item, type Limit, type QuotaKind } from '../shared/quota-items.js';
import {
  type HeldItems,
  type StatusLine,
  type StatusLines,
  heldText,
  mostText,
  upperCase,
} from '../shared/status-lines.js';

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

/** The most users and groups that `.status` lists. */
const MOST_LISTED = 64;

export const NO_BOUNDS: Bounds = Object.fromEntries(
  ITEMS.map((item) => [item, Infinity]),
) as Bounds;

const MIB = 1024 * 1024;

/** V8 counts its young generation to the heap's limit: three semi-spaces of 16 MiB. What lives long has the rest. */
const YOUNG_GENERATION_BYTES = 48 * MIB;
const HEAP_LIMIT_BYTES = getHeapStatistics().heap_size_limit;
const OLD_SPACE_BYTES = Math.max(HEAP_LIMIT_BYTES - YOUNG_GENERATION_BYTES, HEAP_LIMIT_BYTES / 2);

/** How much beyond the mount's memory root may have in open files. */
const RESERVE_SHARE = 1 / 16;

/** Half of the old space: the other half is the program's own and what the collector needs to move things. */
const MOUNT_MEMORY_BYTES = Math.floor(OLD_SPACE_BYTES / 2);

/** What holds where the configuration says nothing. */
export const DEFAULT_QUOTAS: Quotas = {
  mount: {
    directories: 65_536,
    streams: 65_536,
    reads: 65_536,
    events: Math.floor(MOUNT_MEMORY_BYTES / LINK_BYTES),
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
export class QuotaUsage {
  directories = 0;
  streams = 0;
  reads = 0;
  events = 0;
  bytes = 0;
  memory = 0;
  filter_cost = 0;
  /** Whether the ledger has forgotten it, since it held nothing: another may stand in its place. */
  isForgotten = false;

  constructor(
    readonly kind: QuotaKind,
    /** The uid or gid. */
    readonly id: number,
    public bounds: Bounds,
  ) {}

  get name(): string {
    return this.kind === 'mount' ? 'the mount' : `${this.kind} ${this.id}`;
  }

  get isEmpty(): boolean {
    // The one that most of what is held costs first: most calls end there.
    return this.memory === 0 && ITEMS.every((item) => this[item] === 0);
  }

  /** @param memory what the events cost, all in all */
  fits(events: number, bytes: number, memory: number): boolean {
    const { bounds } = this;
    return (
      (events <= 0 || this.events + events <= bounds.events) &&
      (bytes <= 0 || this.bytes + bytes <= bounds.bytes) &&
      (memory <= 0 || this.memory + memory <= bounds.memory)
    );
  }

  add(events: number, bytes: number, memory: number): void {
    this.events += events;
    this.bytes += bytes;
    this.memory += memory;
  }

  /** Whether so much more would do. What is too much already may still shrink. */
  fitsItem(item: Item, amount: number): boolean {
    return amount <= 0 || this[item] + amount <= this.bounds[item];
  }

  /** Whether one more blocked read would do. */
  fitsRead(memory: number): boolean {
    const { bounds } = this;
    return this.reads < bounds.reads && this.memory + memory <= bounds.memory;
  }

  addRead(reads: number, memory: number): void {
    this.reads += reads;
    this.memory += memory;
  }

  /** EDQUOT, or ENOSPC of the mount. */
  refusal(item: Item, amount: number): FsError {
    const why = `${this.name} holds ${this[item]} of ${this.bounds[item]} ${item}`;
    return new FsError(
      this.kind === 'mount' ? Errno.ENOSPC : Errno.EDQUOT,
      amount === 1 ? why : `${why}, and ${amount} more do not fit`,
    );
  }
}

/**
 * Where what a user and a group have is charged: the usage of both and of the mount. It may be kept for long: the ledger forgets
 * a usage that holds nothing, and finds it again when something is charged.
 */
export class QuotaAccount implements EventQuota {
  constructor(
    private readonly ledger: QuotaLedger,
    private user: QuotaUsage,
    private group: QuotaUsage,
    private readonly mount: QuotaUsage,
  ) {}

  get uid(): number {
    return this.user.id;
  }

  get gid(): number {
    return this.group.id;
  }

  tryCharge(events: number, bytes: number, heap: number): boolean {
    if (this.user.isForgotten || this.group.isForgotten) this.#find();
    const { user, group, mount } = this;
    const memory = events * LINK_BYTES + heap;
    if (
      !user.fits(events, bytes, memory) ||
      !group.fits(events, bytes, memory) ||
      !mount.fits(events, bytes, memory)
    ) {
      this.ledger.forget(user, group);
      return false;
    }
    this.#add(events, bytes, memory);
    return true;
  }

  refund(events: number, bytes: number, heap: number): void {
    if (this.user.isForgotten || this.group.isForgotten) this.#find();
    this.#add(-events, -bytes, -(events * LINK_BYTES + heap));
    this.ledger.forget(this.user, this.group);
  }

  #add(events: number, bytes: number, memory: number): void {
    this.user.add(events, bytes, memory);
    this.group.add(events, bytes, memory);
    this.mount.add(events, bytes, memory);
  }

  fits(events: number, bytes: number, heap: number): boolean {
    const memory = events * LINK_BYTES + heap;
    return this.#usages.every(
      (usage) =>
        usage.events + events <= usage.bounds.events &&
        usage.bytes + bytes <= usage.bounds.bytes &&
        usage.memory + memory <= usage.bounds.memory,
    );
  }

  assertFits(events: number, bytes: number, heap: number): void {
    this.assertAllFit({ events, bytes, memory: events * LINK_BYTES + heap });
  }

  /** Throws as `chargeItem` does, and charges nothing. */
  assertAllFit(amounts: Partial<Bounds>): void {
    this.#assertFitIn(this.#usages, amounts);
  }

  /** The same as `assertFits` for what is charged to `from` by now and comes here. */
  assertFitsFrom(from: QuotaAccount, events: number, bytes: number, heap: number): void {
    this.#assertFitIn(this.#differing(from), { events, bytes, memory: events * LINK_BYTES + heap });
  }

  #assertFitIn(usages: readonly QuotaUsage[], amounts: Partial<Bounds>): void {
    try {
      for (const item of ITEMS) this.ledger.assertFits(usages, item, amounts[item] ?? 0);
    } catch (error) {
      this.ledger.forget(this.user, this.group);
      throw error;
    }
  }

  /** Charges `amount` of an item. Throws EDQUOT for a user's or group's quota, ENOSPC for the mount's; then nothing is charged. */
  chargeItem(item: Item, amount = 1): void {
    if (!this.tryChargeItem(item, amount)) this.#refuse(item, amount);
  }

  /** Charges as much of each item as `amounts` says, or nothing. Throws as `chargeItem` does. */
  chargeAll(amounts: Partial<Bounds>): void {
    this.assertAllFit(amounts);
    for (const item of ITEMS) this.forceChargeItem(item, amounts[item] ?? 0);
  }

  /** Whether `chargeItem` would charge that. */
  fitsItem(item: Item, amount: number): boolean {
    return (
      this.user.fitsItem(item, amount) &&
      this.group.fitsItem(item, amount) &&
      this.mount.fitsItem(item, amount)
    );
  }

  /** As `chargeItem`, but says so where that would be too much: false. */
  tryChargeItem(item: Item, amount: number): boolean {
    if (this.user.isForgotten || this.group.isForgotten) this.#find();
    const { user, group, mount } = this;
    if (
      !user.fitsItem(item, amount) ||
      !group.fitsItem(item, amount) ||
      !mount.fitsItem(item, amount)
    ) {
      this.ledger.forget(user, group);
      return false;
    }
    user[item] += amount;
    group[item] += amount;
    mount[item] += amount;
    return true;
  }

  /**
   * Charges a blocked read and the memory that it takes, in one step: a thousand reads may wait for each event.
   * @param memory in bytes
   * @returns false, with nothing charged, where a quota refuses it
   */
  tryChargeRead(memory: number): boolean {
    if (this.user.isForgotten || this.group.isForgotten) this.#find();
    const { user, group, mount } = this;
    if (!user.fitsRead(memory) || !group.fitsRead(memory) || !mount.fitsRead(memory)) {
      this.ledger.forget(user, group);
      return false;
    }
    user.addRead(1, memory);
    group.addRead(1, memory);
    mount.addRead(1, memory);
    return true;
  }

  /** Gives back what `tryChargeRead` charged. */
  refundRead(memory: number): void {
    const { user, group, mount } = this;
    user.addRead(-1, -memory);
    group.addRead(-1, -memory);
    mount.addRead(-1, -memory);
    this.ledger.forget(user, group);
  }

  /** As `tryChargeItem` of memory for an open file: root has a reserve, so that it can look when others have used up the mount's. */
  tryChargeOpen(heap: number): boolean {
    if (this.tryChargeItem('memory', heap)) return true;
    const { memory, bounds } = this.mount;
    const most = this.uid === 0 ? bounds.memory * (1 + RESERVE_SHARE) : bounds.memory;
    if (
      memory + heap > most ||
      !this.user.fitsItem('memory', heap) ||
      !this.group.fitsItem('memory', heap)
    )
      return false;
    this.forceChargeItem('memory', heap);
    return true;
  }

  /** Throws what `chargeItem` does for an amount that is too much. */
  #refuse(item: Item, amount: number): never {
    this.#assertFitIn(this.#usages, { [item]: amount });
    throw new FsError(Errno.EDQUOT, 'a quota is used up');
  }

  /** Charges `amount` of an item even where that exceeds a quota: for what cannot be refused any more. */
  forceChargeItem(item: Item, amount: number): void {
    if (this.user.isForgotten || this.group.isForgotten) this.#find();
    this.user[item] += amount;
    this.group[item] += amount;
    this.mount[item] += amount;
  }

  /** Gives back what `chargeItem` or `forceChargeItem` charged. */
  refundItem(item: Item, amount = 1): void {
    const { user, group, mount } = this;
    user[item] -= amount;
    group[item] -= amount;
    mount[item] -= amount;
    this.ledger.forget(user, group);
  }

  /** The same for several items. */
  refundAll(amounts: Partial<Bounds>): void {
    for (const item of ITEMS) this.forceChargeItem(item, -(amounts[item] ?? 0));
    this.ledger.forget(this.user, this.group);
  }

  forceCharge(events: number, bytes: number, heap: number): void {
    if (this.user.isForgotten || this.group.isForgotten) this.#find();
    this.#add(events, bytes, events * LINK_BYTES + heap);
  }

  /** chown(2): all of it is charged to `to` from now on. EDQUOT, and nothing has changed. */
  moveTo(to: QuotaAccount, held: Partial<Bounds>): void {
    const [taking, giving] = [to.#differing(this), this.#differing(to)];
    to.#assertFitIn(taking, held);
    for (const item of ITEMS) {
      for (const usage of taking) usage[item] += held[item] ?? 0;
      for (const usage of giving) usage[item] -= held[item] ?? 0;
    }
    this.ledger.forget(this.user, this.group);
  }

  /** Those of our usages that are none of `other`'s. */
  #differing(other: QuotaAccount): QuotaUsage[] {
    const others = other.#usages;
    return this.#usages.filter((usage) => !others.includes(usage));
  }

  get #usages(): QuotaUsage[] {
    if (this.user.isForgotten || this.group.isForgotten) this.#find();
    return [this.user, this.group, this.mount];
  }

  #find(): void {
    this.user = this.ledger.find(this.user);
    this.group = this.ledger.find(this.group);
  }
}

function heldBy(usage: QuotaUsage): HeldItems {
  return Object.fromEntries(
    ITEMS.map((item) => [item, { held: usage[item], most: usage.bounds[item] }]),
  ) as HeldItems;
}

/** What statfs(2) tells one user: the smallest budget that it is held to, and how much of it is left. */
export interface Budget {
  readonly events: number;
  readonly freeEvents: number;
  readonly bytes: number;
  readonly freeBytes: number;
}

export class QuotaLedger {
  readonly mount: QuotaUsage;
  readonly users = new Map<number, QuotaUsage>();
  readonly groups = new Map<number, QuotaUsage>();
  /** How often somebody was refused. */
  refused = 0;
  /** The account that was asked for last: many requests in a row are one user's. */
  #lastAccount: QuotaAccount | null = null;
  /** The same by the limit that did. */
  readonly refusedBy = new Map<Limit, number>();

  constructor(private quotas: Quotas = DEFAULT_QUOTAS) {
    this.mount = new QuotaUsage('mount', 0, quotas.mount);
  }

  /** Where what a user and a group have is charged. */
  account(uid: number, gid: number): QuotaAccount {
    const last = this.#lastAccount;
    if (last !== null && last.uid === uid && last.gid === gid) return last;
    const user = this.users.get(uid) ?? this.#newUsage('uid', uid);
    const group = this.groups.get(gid) ?? this.#newUsage('gid', gid);
    return (this.#lastAccount = new QuotaAccount(this, user, group, this.mount));
  }

  /** A usage that is in no list before something is charged to it. */
  #newUsage(kind: 'uid' | 'gid', id: number): QuotaUsage {
    const usage = new QuotaUsage(kind, id, this.#boundsOf(kind, id));
    usage.isForgotten = true;
    return usage;
  }

  /** The usage of the same user or group as one that was forgotten: itself, unless another stands in its place. */
  find(usage: QuotaUsage): QuotaUsage {
    if (!usage.isForgotten || usage.kind === 'mount') return usage;
    const among = usage.kind === 'uid' ? this.users : this.groups;
    const found = among.get(usage.id);
    if (found !== undefined) return found;
    usage.bounds = this.#boundsOf(usage.kind, usage.id);
    usage.isForgotten = false;
    among.set(usage.id, usage);
    return usage;
  }

  /** 0 is not bound by what is said of all. */
  #boundsOf(kind: 'uid' | 'gid', id: number): Bounds {
    const { of, others } = this.quotas[kind];
    return of.get(id) ?? (id === 0 ? NO_BOUNDS : others);
  }

  /** Throws where one of the usages can't take so much more. */
  assertFits(usages: readonly QuotaUsage[], item: Item, amount: number): void {
    const full = usages.find((usage) => !usage.fitsItem(item, amount));
    if (full === undefined) return;
    this.countRefusal(`${full.kind}_${item}`);
    throw full.refusal(item, amount);
  }

  /** A limit has refused somebody: `REFUSED_<LIMIT>` in log/.status, as in `REFUSED_UID_DIRECTORIES`. */
  countRefusal(limit: Limit): void {
    this.refused++;
    this.refusedBy.set(limit, (this.refusedBy.get(limit) ?? 0) + 1);
  }

  /** A usage that holds nothing is not kept. A {@link QuotaAccount} may still know it. */
  forget(user: QuotaUsage, group: QuotaUsage): void {
    if (!user.isForgotten && user.isEmpty) {
      this.users.delete(user.id);
      user.isForgotten = true;
    }
    if (!group.isForgotten && group.isEmpty) {
      this.groups.delete(group.id);
      group.isForgotten = true;
    }
  }

  /** Other bounds from now on. Where more is held already nothing is taken away, and nothing more is given. */
  setQuotas(quotas: Quotas): void {
    this.quotas = quotas;
    this.mount.bounds = quotas.mount;
    for (const usage of [...this.users.values(), ...this.groups.values()]) {
      if (usage.kind !== 'mount') usage.bounds = this.#boundsOf(usage.kind, usage.id);
    }
  }

  /** What the mount holds and may hold, and the same of each user and group that is bounded: `QUOTA_UID_1000=directories=2/256 ...`. */
  statusLines(): StatusLines {
    const { mount } = this;
    return [
      ['EVENTS', mount.events],
      ['BYTES', mount.bytes],
      ['MEMORY', mount.memory],
      ...ITEMS.map((item) => [`MOST_${upperCase(item)}`, mostText(mount.bounds[item])] as const),
      ['REFUSED', this.refused],
      ...[...this.refusedBy].map(
        ([limit, count]) => [`REFUSED_${upperCase(limit)}`, count] as const,
      ),
      ...this.#usageLines(),
    ];
  }

  #usageLines(): StatusLines {
    const lines: StatusLine[] = [];
    let unlisted = 0;
    for (const among of [this.users, this.groups]) {
      for (const usage of among.values()) {
        if (!ITEMS.some((item) => usage.bounds[item] !== Infinity)) continue;
        if (lines.length === MOST_LISTED) unlisted++;
        else lines.push([`QUOTA_${upperCase(usage.kind)}_${usage.id}`, heldText(heldBy(usage))]);
      }
    }
    if (unlisted > 0) lines.push(['QUOTAS_NOT_LISTED', unlisted]);
    return lines;
  }

  /** statfs(2): the user's own budget, else the group's, else the mount's; of what is free, as much as all of them leave. */
  budget(uid: number, gid: number): Budget {
    const usages = [
      this.users.get(uid) ?? new QuotaUsage('uid', uid, this.#boundsOf('uid', uid)),
      this.groups.get(gid) ?? new QuotaUsage('gid', gid, this.#boundsOf('gid', gid)),
      this.mount,
    ];
    const total = (item: Item): number =>
      usages.find(({ bounds }) => bounds[item] !== Infinity)?.bounds[item] ??
      Number.MAX_SAFE_INTEGER;
    const free = (item: Item): number =>
      Math.max(
        0,
        Math.min(total(item), ...usages.map((usage) => usage.bounds[item] - usage[item])),
      );
    return {
      events: total('events'),
      freeEvents: free('events'),
      bytes: total('bytes'),
      freeBytes: free('bytes'),
    };
  }
}
