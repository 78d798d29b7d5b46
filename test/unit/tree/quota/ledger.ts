/** The ledger's accounts, a recount of them, and a kernel with quotas. */
import { ITEMS } from '../../../../fs/shared/quota-items.js';
import { LINK_BYTES, WRITTEN_EVENT_BYTES, directoryPrice } from '../../../../fs/tree/prices.js';
import { FileType } from '../../../../fs/tree/nodes/node.js';
import type { ProcessDirectory } from '../../../../fs/tree/nodes/process-directory.js';
import { WrittenEvent } from '../../../../fs/tree/written/written-event.js';
import { Child } from '../../../support/memory/child.js';
import type { By } from '../../../support/memory/connection.js';
import { MemoryKernel } from '../../../support/memory/kernel.js';
import { type Bounds, NO_BOUNDS, type Quotas } from '../../../../fs/tree/quota/bounds.js';
import type { QuotaAccount } from '../../../../fs/tree/quota/account.js';

export const S_IFIFO = 0o010644;
export const FATTR = { uid: 2, gid: 4, size: 8 };
export const STICKY = 'user.eventfs_sticky';

/** Returns quotas with these bounds and no other. */
export function quotasOf(
  uid: Partial<Bounds>,
  gid: Partial<Bounds> = {},
  mount: Partial<Bounds> = {},
): Quotas {
  return {
    mount: { ...NO_BOUNDS, ...mount },
    uid: { others: { ...NO_BOUNDS, ...uid }, of: new Map() },
    gid: { others: { ...NO_BOUNDS, ...gid }, of: new Map() },
  };
}

/** Amounts of all items. */
type Held = Record<(typeof ITEMS)[number], number>;

/** A charge for an open file or a blocked read, and its account. */
export interface Cost {
  readonly by: Required<Pick<By, 'uid' | 'gid'>>;
  readonly held: () => Partial<Held>;
}

/** Recounts the charges by `uid 1000`, `gid 100` and `mount 0`, without empty accounts. */
export function recount(
  kernel: MemoryKernel,
  costs: Iterable<Cost>,
  written: Iterable<WrittenEvent>,
): Record<string, Held> {
  const held: Record<string, Held> = {};
  const charge = (uid: number, gid: number, more: Partial<Held>): void => {
    for (const who of [`uid ${uid}`, `gid ${gid}`, 'mount 0']) {
      const account = (held[who] ??= Object.fromEntries(ITEMS.map((item) => [item, 0])) as Held);
      for (const item of ITEMS) account[item] += more[item] ?? 0;
    }
  };
  for (const directory of kernel.tree.root.directories) {
    const { uid, gid, queue } = directory;
    const entries = [...queue.entries];
    let listed = -2; // . and ..
    directory.list(0, { add: () => ++listed > -2 });
    const specials = listed - entries.length;
    const memory =
      directoryPrice(directory.name).memory +
      directory.filter.memory +
      (entries.length + specials) * LINK_BYTES +
      listedNames(directory).reduce((sum, name) => sum + name.length, 0) +
      targetsOf(directory) +
      entries.reduce((sum, { event }) => sum + event.heapBytes, 0);
    charge(uid, gid, {
      directories: 1,
      events: entries.length + specials,
      bytes: entries.reduce((sum, { event }) => sum + event.length, 0),
      memory,
      filter_cost: directory.filter.cost,
    });
  }
  for (const { by, held: amounts } of costs) charge(by.uid, by.gid, amounts());
  for (const event of written) {
    if (event.links > 0 || event.opens === 0) continue;
    const { uid, gid } = event.keeper as QuotaAccount;
    charge(uid, gid, { events: 1, bytes: event.length, memory: LINK_BYTES + WRITTEN_EVENT_BYTES });
  }
  // The ledger drops an account that holds nothing, as after the answer to a read that waited.
  return Object.fromEntries(
    Object.entries(held).filter(([, amounts]) => ITEMS.some((item) => amounts[item] !== 0)),
  );
}

function listedNames(directory: ProcessDirectory): string[] {
  const names: string[] = [];
  directory.list(2, { add: (_ino, _type, name) => names.push(name) > 0 });
  return names;
}

/** Returns the bytes of the targets of a directory's symlinks. */
function targetsOf(directory: ProcessDirectory): number {
  let bytes = 0;
  directory.list(2, {
    add: (_ino, type, name) => {
      if (type === FileType.symlink) bytes += directory.lookup(name)!.readlink().length;
      return true;
    },
  });
  return bytes;
}

/** Returns the ledger's accounts. */
export function accountsOf(kernel: MemoryKernel): Record<string, Held> {
  const { ledger } = kernel.tree;
  const accounts = [...ledger.users.values(), ...ledger.groups.values(), ledger.mount].filter(
    ({ isEmpty }) => !isEmpty,
  );
  return Object.fromEntries(
    accounts.map((account) => [
      `${account.kind} ${account.id}`,
      Object.fromEntries(ITEMS.map((item) => [item, account[item]])) as Held,
    ]),
  );
}

/** Returns the user and group of an opener or reader. */
export function byOf(which: number): Cost['by'] {
  return { uid: 1000 + (which % 3), gid: 100 + (which % 2) };
}

/** Returns the given amounts, and 0 of every other item. */
export function only(held: Partial<Held>): Held {
  return { ...(Object.fromEntries(ITEMS.map((item) => [item, 0])) as Held), ...held };
}

/** The memory of the directory `own`. */
export const ownDirectory = directoryPrice('own').memory;

/** Returns the memory of a file with that name. */
export function fileOf(name: string): number {
  return LINK_BYTES + WRITTEN_EVENT_BYTES + name.length;
}

/**
 * Returns a kernel with quotas, a child that owns the directories of user 1000, and one such
 * directory.
 */
export function withQuotas(
  uid: Partial<Bounds>,
  gid: Partial<Bounds> = {},
  mount: Partial<Bounds> = {},
): { kernel: MemoryKernel; child: Child; user: Required<By>; own: number } {
  const kernel = MemoryKernel.started();
  kernel.tree.ledger.setQuotas(quotasOf(uid, gid, mount));
  const child = new Child();
  const user = { pid: child.pid, uid: 1000, gid: 100 };
  return { kernel, child, user, own: kernel.mkdir('own', user) };
}
