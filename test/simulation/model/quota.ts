/** The model's quotas: plain sums, and the errno of what does not fit. */
import { Errno } from '../../../fs/shared/errors.js';

/** The items that the model counts; the simulation sets no bounds of memory and filter cost. */
export const COUNTED = ['directories', 'streams', 'reads', 'events', 'bytes'] as const;
type Counted = (typeof COUNTED)[number];
type Amounts = Readonly<Partial<Record<Counted, number>>>;
export type Most = Readonly<Record<Counted, number>>;

/** The sums of one user, one group or the mount. */
class Sum {
  readonly held: Record<Counted, number> = {
    directories: 0,
    streams: 0,
    reads: 0,
    events: 0,
    bytes: 0,
  };
  constructor(readonly most: Most | null) {}

  fits(item: Counted, amount: number): boolean {
    return amount <= 0 || this.most === null || this.held[item] + amount <= this.most[item];
  }
}

/** A user together with a group. */
export class Account {
  constructor(
    private readonly quotas: ModelQuotas,
    readonly uid: number,
    readonly gid: number,
  ) {}

  get #sums(): readonly Sum[] {
    return this.quotas.sumsOf(this.uid, this.gid);
  }

  /** Returns the errno if the amounts do not fit, else 0. */
  refusal(amounts: Amounts, sums = this.#sums): number {
    for (const item of COUNTED) {
      const full = sums.findIndex((sum) => !sum.fits(item, amounts[item] ?? 0));
      if (full >= 0) return sums[full] === this.quotas.mount ? Errno.ENOSPC : Errno.EDQUOT;
    }
    return 0;
  }

  /** Does the same as `refusal`, for amounts that `from` holds already. */
  refusalFrom(from: Account, amounts: Amounts): number {
    const others = from.#sums;
    return this.refusal(
      amounts,
      this.#sums.filter((sum) => !others.includes(sum)),
    );
  }

  /** Returns whether the amounts would fit after a refund of the negative ones. */
  fitsAfter(events: number, bytes: number): boolean {
    return this.#sums.every(
      ({ held, most }) =>
        most === null || (held.events + events <= most.events && held.bytes + bytes <= most.bytes),
    );
  }

  add(amounts: Amounts): void {
    for (const { held } of this.#sums) for (const item of COUNTED) held[item] += amounts[item] ?? 0;
  }

  addEvents(events: number, bytes: number): void {
    for (const { held } of this.#sums) {
      held.events += events;
      held.bytes += bytes;
    }
  }

  /** Adds amounts if they fit; returns the errno otherwise. */
  charge(amounts: Amounts): number {
    const errno = this.refusal(amounts);
    if (errno === 0) this.add(amounts);
    return errno;
  }
}

/** All sums. */
export class ModelQuotas {
  readonly mount: Sum;
  readonly users = new Map<number, Sum>();
  readonly groups = new Map<number, Sum>();
  readonly #accounts = new Map<number, Account>();

  /** @param perUser the bounds of each user but root */
  constructor(
    mount: Most,
    private readonly perUser: Most,
  ) {
    this.mount = new Sum(mount);
  }

  account(uid: number, gid: number): Account {
    const key = uid * 65536 + gid;
    let account = this.#accounts.get(key);
    if (account === undefined) {
      account = new Account(this, uid, gid);
      this.#accounts.set(key, account);
      if (!this.users.has(uid)) this.users.set(uid, new Sum(uid === 0 ? null : this.perUser));
      if (!this.groups.has(gid)) this.groups.set(gid, new Sum(null));
    }
    return account;
  }

  sumsOf(uid: number, gid: number): readonly Sum[] {
    return [this.users.get(uid)!, this.groups.get(gid)!, this.mount];
  }
}
