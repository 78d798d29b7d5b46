/** The model of written events that change their size or their owner. */
import { Errno } from '../../../fs/shared/errors.js';
import type { ModelDirectory } from './directory.js';
import type { ModelEvent } from './events.js';

/** The most full queues that may drop events for one that grows. */
const MOST_FULL_QUEUES = 2;

/** Removes the set-ID bits, as a write by a user does. */
export function dropSetIds({ written }: ModelEvent, uid: number): void {
  if (uid === 0 || written === null) return;
  written.mode &= (written.mode & 0o010) === 0 ? ~0o4000 : ~0o6000;
}

/** Returns the errno if an event must not grow by `bytes`. */
export function refusalOfGrowth(event: ModelEvent, bytes: number): number {
  if (bytes <= 0) return 0;
  const owed: [ModelDirectory, number][] = holdersOf(event).map(([holder, links]) => [
    holder,
    bytes * links,
  ]);
  if (owed.some(([holder, amount]) => holder.refuses(0, amount))) return Errno.EDQUOT;
  if (owed.filter(([holder, amount]) => holder.overflows(0, amount)).length > MOST_FULL_QUEUES)
    return Errno.EDQUOT;
  const charged: [{ addEvents: (events: number, bytes: number) => void }, number][] = [];
  let errno = 0;
  const accounts = [
    ...owed.map(([{ account }, amount]) => [account, amount] as const),
    ...(event.written!.keeper === null ? [] : [[event.written!.keeper, bytes] as const]),
  ];
  let refusing = null;
  for (const [account, amount] of accounts) {
    if (account.refusal({ bytes: amount }) !== 0) {
      refusing = [account, amount] as const;
      break;
    }
    account.addEvents(0, amount);
    charged.push([account, amount]);
  }
  for (const [account, amount] of charged) account.addEvents(0, -amount);
  if (refusing !== null) errno = refusing[0].refusal({ bytes: refusing[1] }) || Errno.EDQUOT;
  return errno;
}

function holdersOf(event: ModelEvent): [ModelDirectory, number][] {
  const links = new Map<ModelDirectory, number>();
  for (const holder of event.holders)
    if (holder !== null) links.set(holder, (links.get(holder) ?? 0) + 1);
  return [...links];
}

/** Changes the size of a written event; full queues make room. */
export function resize(event: ModelEvent, size: number): void {
  const grown = size - event.text.length;
  if (grown > 0) {
    for (const [holder] of holdersOf(event)) {
      let before = -1;
      for (let links = linksIn(event, holder); links > 0 && links !== before;) {
        holder.makeRoom(0, grown * links, event);
        before = links;
        links = linksIn(event, holder);
      }
    }
  }
  for (const holder of event.holders) holder?.account.addEvents(0, grown);
  event.written!.keeper?.addEvents(0, grown);
  event.text = event.text.slice(0, size).padEnd(size, '\0');
}

function linksIn(event: ModelEvent, holder: ModelDirectory): number {
  return event.holders.filter((other) => other === holder).length;
}

/** chown(2) of a directory moves the charge for it. */
export function moveCharge(directory: ModelDirectory, account: ModelDirectory['account']): number {
  const { account: from, size, specials, bytes } = directory;
  if (from.uid === account.uid && from.gid === account.gid) return 0;
  const held = { directories: 1, events: size + specials.length, bytes };
  const errno = account.refusalFrom(from, held);
  if (errno !== 0) return errno;
  account.add(held);
  from.add({
    directories: -held.directories,
    events: -held.events,
    bytes: -held.bytes,
  });
  directory.account = account;
  return 0;
}
