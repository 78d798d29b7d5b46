/**
 * Quotas: bounds on what a user, a group and the whole mount may hold. One ledger charges and
 * refunds. It checks and charges in one step.
 *
 *   item          what it counts                              charged to the uid and gid of
 *   directories   process directories                         the directory
 *   streams       open streams                                the opener
 *   reads         blocked reads                               the reader
 *   events        links to events; FIFOs, sockets, symlinks   the directory
 *   bytes         text; each link counts, though the bytes    the directory
 *                 are stored once
 *   memory        bytes of V8's heap and of buffers: names,   the directory, or the opener
 *                 targets, nodes, handles, filters, open
 *                 texts
 *   filter_cost   units of work that one event can cost       the directory, or the opener
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

/** The most of each item; Infinity if the item has no bound. */
export type Bounds = Readonly<Record<Item, number>>;

/** The bounds of all users, or of all groups. */
export interface QuotaRules {
  /** The bounds of each id that is not in `of`. Id 0 is not bounded by them. */
  readonly others: Bounds;
  /** The bounds of specific ids, by uid or gid. */
  readonly of: ReadonlyMap<number, Bounds>;
}

/** The configured quotas: of the mount, of users and of groups. */
export interface Quotas {
  readonly mount: Bounds;
  readonly uid: QuotaRules;
  readonly gid: QuotaRules;
}

/** The most users and groups that `.status` lists. */
const MOST_LISTED = 64;

/** Infinity for each item. */
export const NO_BOUNDS: Bounds = Object.fromEntries(
  ITEMS.map((item) => [item, Infinity]),
) as Bounds;

const MIB = 1024 * 1024;

/**
 * The young generation: three semi-spaces of 16 MiB. V8 counts it to the heap's limit; the old
 * space, which has the long-lived objects, gets the rest.
 */
const YOUNG_GENERATION_BYTES = 48 * MIB;
const HEAP_LIMIT_BYTES = getHeapStatistics().heap_size_limit;
const OLD_SPACE_BYTES = Math.max(HEAP_LIMIT_BYTES - YOUNG_GENERATION_BYTES, HEAP_LIMIT_BYTES / 2);

/** The share of the mount's memory that root may use for open files beyond the mount's bound. */
const RESERVE_SHARE = 1 / 16;

/**
 * Half of the old space. The other half is for the program itself, and for the garbage collector to
 * move objects.
 */
const MOUNT_MEMORY_BYTES = Math.floor(OLD_SPACE_BYTES / 2);

/** The quotas without a configuration. */
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

/** The amounts that one user, one group or the mount holds, and their bounds. */
export class QuotaUsage {
  directories = 0;
  streams = 0;
  reads = 0;
  events = 0;
  bytes = 0;
  memory = 0;
  filter_cost = 0;
  /**
   * Whether the ledger has dropped this usage, because it held nothing. The ledger may have another
   * usage for the same id by now.
   */
  isForgotten = false;

  constructor(
    readonly kind: QuotaKind,
    /** The uid or gid; 0 for the mount. */
    readonly id: number,
    public bounds: Bounds,
  ) {}

  /** A name for messages, as in `uid 1000`. */
  get name(): string {
    return this.kind === 'mount' ? 'the mount' : `${this.kind} ${this.id}`;
  }

  /** Whether no amount of any item is held. */
  get isEmpty(): boolean {
    // Memory first: nearly everything costs memory, so most calls end there.
    return this.memory === 0 && ITEMS.every((item) => this[item] === 0);
  }

  /**
   * Checks whether so much more is within the bounds. An amount of 0 or less always fits.
   * @param events the number of events
   * @param bytes bytes of text
   * @param memory bytes of memory, the price of the entries included
   */
  fits(events: number, bytes: number, memory: number): boolean {
    const { bounds } = this;
    return (
      (events <= 0 || this.events + events <= bounds.events) &&
      (bytes <= 0 || this.bytes + bytes <= bounds.bytes) &&
      (memory <= 0 || this.memory + memory <= bounds.memory)
    );
  }

  /**
   * Adds amounts without a check; negative amounts subtract. The parameters are those of `fits`.
   */
  add(events: number, bytes: number, memory: number): void {
    this.events += events;
    this.bytes += bytes;
    this.memory += memory;
  }

  /** Checks whether `amount` more is within the bound. An amount of 0 or less always fits. */
  fitsItem(item: Item, amount: number): boolean {
    return amount <= 0 || this[item] + amount <= this.bounds[item];
  }

  /**
   * Checks whether one more blocked read is within the bounds.
   * @param memory the read's price, in bytes
   */
  fitsRead(memory: number): boolean {
    const { bounds } = this;
    return this.reads < bounds.reads && this.memory + memory <= bounds.memory;
  }

  /**
   * Adds blocked reads and their memory without a check; negative amounts subtract.
   * @param reads the number of reads
   * @param memory bytes of memory
   */
  addRead(reads: number, memory: number): void {
    this.reads += reads;
    this.memory += memory;
  }

  /**
   * Makes the error for an amount that does not fit: EDQUOT, or ENOSPC if the mount's bound refuses
   * it.
   */
  refusal(item: Item, amount: number): FsError {
    const why = `${this.name} holds ${this[item]} of ${this.bounds[item]} ${item}`;
    return new FsError(
      this.kind === 'mount' ? Errno.ENOSPC : Errno.EDQUOT,
      amount === 1 ? why : `${why}, and ${amount} more do not fit`,
    );
  }
}

/**
 * Charges one user together with one group: the usage of both and of the mount. A caller may keep
 * it for long: the ledger drops a usage that holds nothing, and the account finds the ledger's
 * present usage at the next charge.
 *
 * The parameters of the methods for events: `events` is a number of entries, `bytes` are bytes of
 * text, `heap` are bytes of memory beyond LINK_BYTES an entry.
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

  /**
   * Charges events.
   * @returns false, with nothing charged, if a quota refuses them
   */
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

  /** Refunds charged events. */
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

  /**
   * Checks whether so much more would be within the bounds, and charges nothing. A negative amount
   * stands for a refund that comes first; it does not fit if even then more is held than the bound
   * allows.
   */
  fits(events: number, bytes: number, heap: number): boolean {
    const memory = events * LINK_BYTES + heap;
    return this.#usages.every(
      (usage) =>
        usage.events + events <= usage.bounds.events &&
        usage.bytes + bytes <= usage.bounds.bytes &&
        usage.memory + memory <= usage.bounds.memory,
    );
  }

  /**
   * Checks that events fit, and charges nothing.
   * @throws FsError EDQUOT if a quota of the user or group refuses them, ENOSPC if the mount's does
   */
  assertFits(events: number, bytes: number, heap: number): void {
    this.assertAllFit({ events, bytes, memory: events * LINK_BYTES + heap });
  }

  /**
   * Checks that amounts of several items fit, and charges nothing.
   * @throws FsError as `chargeItem` does
   */
  assertAllFit(amounts: Partial<Bounds>): void {
    this.#assertFitIn(this.#usages, amounts);
  }

  /**
   * Checks that events from another account fit, and charges nothing.
   * @param from the account that is charged for the events now; a usage that both accounts share
   * counts them already and is not checked
   * @throws FsError as `assertFits` does
   */
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

  /**
   * Charges `amount` of an item.
   * @throws FsError EDQUOT if a quota of the user or group refuses it, ENOSPC if the mount's does;
   * then nothing is charged
   */
  chargeItem(item: Item, amount = 1): void {
    if (!this.tryChargeItem(item, amount)) this.#refuse(item, amount);
  }

  /**
   * Charges amounts of several items.
   * @throws FsError as `chargeItem` does; then nothing is charged
   */
  chargeAll(amounts: Partial<Bounds>): void {
    this.assertAllFit(amounts);
    for (const item of ITEMS) this.forceChargeItem(item, amounts[item] ?? 0);
  }

  /** Checks whether `chargeItem` would succeed. */
  fitsItem(item: Item, amount: number): boolean {
    return (
      this.user.fitsItem(item, amount) &&
      this.group.fitsItem(item, amount) &&
      this.mount.fitsItem(item, amount)
    );
  }

  /**
   * Charges `amount` of an item.
   * @returns false, with nothing charged, if a quota refuses it
   */
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
   * Charges a blocked read and its memory, in one step: that is faster than two, and a thousand
   * reads may block for each event.
   * @param memory the read's price, in bytes
   * @returns false, with nothing charged, if a quota refuses it
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

  /** Refunds a read that `tryChargeRead` has charged. */
  refundRead(memory: number): void {
    const { user, group, mount } = this;
    user.addRead(-1, -memory);
    group.addRead(-1, -memory);
    mount.addRead(-1, -memory);
    this.ledger.forget(user, group);
  }

  /**
   * Charges the memory of an open file. Root may exceed the mount's bound by a reserve, so that it
   * can look into the mount after others have used up the mount's memory.
   * @param heap the open file's price, in bytes
   * @returns false, with nothing charged, if a quota refuses it
   */
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

  /** Throws the error of `chargeItem` for an amount that does not fit. */
  #refuse(item: Item, amount: number): never {
    this.#assertFitIn(this.#usages, { [item]: amount });
    throw new FsError(Errno.EDQUOT, 'a quota is used up');
  }

  /**
   * Charges `amount` of an item even if that exceeds a quota. For a charge that can't be refused
   * any more.
   */
  forceChargeItem(item: Item, amount: number): void {
    if (this.user.isForgotten || this.group.isForgotten) this.#find();
    this.user[item] += amount;
    this.group[item] += amount;
    this.mount[item] += amount;
  }

  /** Refunds `amount` of an item. */
  refundItem(item: Item, amount = 1): void {
    const { user, group, mount } = this;
    user[item] -= amount;
    group[item] -= amount;
    mount[item] -= amount;
    this.ledger.forget(user, group);
  }

  /** Refunds amounts of several items. */
  refundAll(amounts: Partial<Bounds>): void {
    for (const item of ITEMS) this.forceChargeItem(item, -(amounts[item] ?? 0));
    this.ledger.forget(this.user, this.group);
  }

  /** Charges events even if that exceeds a quota. For a charge that can't be refused any more. */
  forceCharge(events: number, bytes: number, heap: number): void {
    if (this.user.isForgotten || this.group.isForgotten) this.#find();
    this.#add(events, bytes, events * LINK_BYTES + heap);
  }

  /**
   * Moves a charge to another account, as chown(2) needs it.
   * @param to the account that is charged from now on
   * @param held the amounts to move
   * @throws FsError EDQUOT if a quota of the new user or group refuses them; then nothing has
   * changed
   */
  moveTo(to: QuotaAccount, held: Partial<Bounds>): void {
    const [taking, giving] = [to.#differing(this), this.#differing(to)];
    to.#assertFitIn(taking, held);
    for (const item of ITEMS) {
      for (const usage of taking) usage[item] += held[item] ?? 0;
      for (const usage of giving) usage[item] -= held[item] ?? 0;
    }
    this.ledger.forget(this.user, this.group);
  }

  /** Returns the usages of this account that are not `other`'s too. */
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

/**
 * The numbers that statfs(2) shows one user: the bounds of events and bytes, and the free part. A
 * number without a bound is Number.MAX_SAFE_INTEGER.
 */
export interface Budget {
  readonly events: number;
  readonly freeEvents: number;
  readonly bytes: number;
  readonly freeBytes: number;
}

/** The usage of all users, of all groups and of the mount. */
export class QuotaLedger {
  readonly mount: QuotaUsage;
  /** The users that hold something, by uid. */
  readonly users = new Map<number, QuotaUsage>();
  /** The groups that hold something, by gid. */
  readonly groups = new Map<number, QuotaUsage>();
  /** The number of refusals. */
  refused = 0;
  /** The account that was asked for last: often many requests in a row come from one user. */
  #lastAccount: QuotaAccount | null = null;
  /** The number of refusals by the limit that refused. */
  readonly refusedBy = new Map<Limit, number>();

  constructor(private quotas: Quotas = DEFAULT_QUOTAS) {
    this.mount = new QuotaUsage('mount', 0, quotas.mount);
  }

  /** @returns the account that charges a user together with a group */
  account(uid: number, gid: number): QuotaAccount {
    const last = this.#lastAccount;
    if (last !== null && last.uid === uid && last.gid === gid) return last;
    const user = this.users.get(uid) ?? this.#newUsage('uid', uid);
    const group = this.groups.get(gid) ?? this.#newUsage('gid', gid);
    return (this.#lastAccount = new QuotaAccount(this, user, group, this.mount));
  }

  /** Returns a new usage. It joins `users` or `groups` with its first charge (`find`). */
  #newUsage(kind: 'uid' | 'gid', id: number): QuotaUsage {
    const usage = new QuotaUsage(kind, id, this.#boundsOf(kind, id));
    usage.isForgotten = true;
    return usage;
  }

  /**
   * Returns the ledger's usage of the same user or group: another one, if the ledger has made one
   * since it dropped `usage`; else `usage` itself, which the ledger takes in again.
   */
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

  /** Returns the bounds of an id: its own, else those of the others. Id 0 has only its own. */
  #boundsOf(kind: 'uid' | 'gid', id: number): Bounds {
    const { of, others } = this.quotas[kind];
    return of.get(id) ?? (id === 0 ? NO_BOUNDS : others);
  }

  /**
   * Checks that `amount` more of an item fits in each of the usages, and counts a refusal.
   * @throws FsError EDQUOT, or ENOSPC if the mount's bound refuses it
   */
  assertFits(usages: readonly QuotaUsage[], item: Item, amount: number): void {
    const full = usages.find((usage) => !usage.fitsItem(item, amount));
    if (full === undefined) return;
    this.countRefusal(`${full.kind}_${item}`);
    throw full.refusal(item, amount);
  }

  /**
   * Counts a refusal by a limit: `REFUSED_<LIMIT>` in log/.status, as in `REFUSED_UID_DIRECTORIES`.
   */
  countRefusal(limit: Limit): void {
    this.refused++;
    this.refusedBy.set(limit, (this.refusedBy.get(limit) ?? 0) + 1);
  }

  /** Drops the usages that hold nothing. A {@link QuotaAccount} may still refer to them. */
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

  /**
   * Sets the quotas. A user or group that holds more than its new bound keeps what it holds, and
   * gets nothing more.
   */
  setQuotas(quotas: Quotas): void {
    this.quotas = quotas;
    this.mount.bounds = quotas.mount;
    for (const usage of [...this.users.values(), ...this.groups.values()]) {
      if (usage.kind !== 'mount') usage.bounds = this.#boundsOf(usage.kind, usage.id);
    }
  }

  /**
   * Returns the lines of `log/.status` about quotas: usage and bounds of the mount, and of each
   * user and group with a bound, as in `QUOTA_UID_1000=directories=2/256 ...`.
   */
  statusLines(): StatusLines {
    const { mount } = this;
    return [
      ['EVENTS', mount.events],
      ['BYTES', mount.bytes],
      ['MEMORY', mount.memory],
      ['READS', mount.reads],
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

  /**
   * Returns the numbers for statfs(2). A total is the user's bound; if the user has none, the
   * group's; if the group has none, the mount's. The free part is the smallest that user, group and
   * mount leave.
   */
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
