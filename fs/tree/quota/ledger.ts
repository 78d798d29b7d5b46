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
import { ASSERTS, broken } from '../../shared/invariant.js';
import { ITEMS, type Item, type Limit } from '../../shared/quota-items.js';
import {
  type HeldItems,
  type StatusLine,
  type StatusLines,
  heldText,
  mostText,
  upperCase,
} from '../../shared/status-lines.js';
import { QuotaAccount } from './account.js';
import { type Bounds, DEFAULT_QUOTAS, NO_BOUNDS, type Quotas } from './bounds.js';
import { QuotaUsage, type UsageTable } from './usage.js';

/** The most users and groups that `.status` lists. */
const MOST_LISTED = 64;

function heldBy(usage: QuotaUsage): HeldItems {
  return Object.fromEntries(
    ITEMS.map((item) => [item, { held: usage[item], most: usage.bounds[item] }]),
  ) as HeldItems;
}

/**
 * The numbers that statfs(2) shows one user: the bounds of events and bytes, and the free part. A
 * number without a bound is Number.MAX_SAFE_INTEGER.
 */
interface Budget {
  readonly events: number;
  readonly freeEvents: number;
  readonly bytes: number;
  readonly freeBytes: number;
}

/** The usage of all users, of all groups and of the mount. */
export class QuotaLedger implements UsageTable {
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
    if (ASSERTS) this.#checkSums();
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

  /**
   * Checks an invariant: the users together, and the groups together, hold what the mount holds.
   * @throws InvariantError if a sum differs
   */
  #checkSums(): void {
    for (const among of [this.users, this.groups]) {
      for (const item of ITEMS) {
        let sum = 0;
        for (const usage of among.values()) sum += usage[item];
        if (sum !== this.mount[item])
          broken(`the accounts hold ${sum} ${item} together, and the mount ${this.mount[item]}`);
      }
    }
  }

  #usageLines(): StatusLines {
    const lines: StatusLine[] = [];
    let unlisted = 0;
    for (const among of [this.users, this.groups]) {
      for (const usage of among.values()) {
        if (!usage.isBounded) continue;
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
