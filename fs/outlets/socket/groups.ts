/** The groups of clients with the same filter. An event is matched once for each group. */
import type { Event } from '../../bus/event.js';
import { FilterIndex } from '../../bus/filter-index.js';
import type { Log } from '../../bus/log.js';
import { EVERYTHING, type FilterHost } from '../../tree/filter-charge.js';
import { filteredPrice } from '../../tree/prices.js';
import type { Filter } from '../../uevent/filter/filter.js';
import { type SocketClient, SocketGroup } from './clients.js';

/** The groups of one socket, and the charges for their filters. */
export class SocketGroups {
  /** The groups by the text of their filter. */
  readonly #groups = new Map<string, SocketGroup>();
  readonly #index = new FilterIndex<SocketGroup>();
  /** The groups whose live clients have not got all events yet. */
  readonly fresh = new Set<SocketGroup>();

  /**
   * @param log the log that the clients' cursors read
   * @param host charges for the filters that clients send
   */
  constructor(
    private readonly log: Log,
    private readonly host: FilterHost,
  ) {}

  /** Offers an event to the groups whose filter may match. */
  take(event: Event): void {
    this.#index.offer(event, this.#deliver);
  }

  readonly #deliver = (group: SocketGroup, event: Event): void => {
    if (!group.take(event)) return;
    group.fresh = true;
    this.fresh.add(group);
  };

  /** Notes that the live clients of a group have got all events. */
  pushed(group: SocketGroup): void {
    group.fresh = false;
    this.fresh.delete(group);
  }

  /** Returns the group of a filter, which the caller joins by `members++`. */
  of(filter: Filter): SocketGroup {
    let group = this.#groups.get(filter.text);
    if (group === undefined) {
      group = new SocketGroup(this.log, filter);
      this.#groups.set(filter.text, group);
      this.#index.add(group);
    }
    return group;
  }

  /**
   * Moves a client to the group of another filter, and charges its user for the filter. If the
   * charge fails, the client is in the group of all events.
   *
   * @throws FsError EDQUOT or ENOSPC if the filter exceeds a quota
   */
  move(client: SocketClient, filter: Filter): void {
    const { uid, gid } = client.peer;
    this.leave(client);
    client.moveTo(this.of(EVERYTHING));
    client.group.members++;
    const account = this.host.ledger.account(uid, gid);
    account.chargeAll(filteredPrice(filter, this.log.limits.events));
    this.leave(client);
    if (!filter.all) client.account = account;
    client.moveTo(this.of(filter));
    client.group.members++;
  }

  /** Takes a client out of its group, and refunds the charge for its filter. */
  leave(client: SocketClient): void {
    const { group } = client;
    if (client.place >= 0) group.part(client);
    client.forgetCursor();
    if (client.account !== null)
      client.account.refundAll(filteredPrice(group.filter, this.log.limits.events));
    client.account = null;
    if (--group.members > 0) return;
    this.#groups.delete(group.filter.text);
    this.#index.remove(group);
    this.fresh.delete(group);
  }
}
