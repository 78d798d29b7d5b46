/**
 * The clients of a socket, and their places in the log.
 *
 * A client that has received everything is in the `live` list of its group. The next events go to
 * all live clients in one call into the addon. If a client's socket is full, the client leaves that
 * list and gets a cursor of its own. Its queue is the log, which exists anyway. Events that the
 * ring overwrites before the client reads them are lost, and their number is known. An idle client
 * costs nothing.
 */
import { Cursor } from '../../bus/readers/cursor.js';
import { FilterGroup } from '../../bus/readers/filter-group.js';
import type { QuotaAccount } from '../../tree/quota/account.js';

/** The process at the other end of a connection, and its user (SO_PEERCRED). */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** A message that is not in the log: an answer, or an overflow record. */
export interface Notice {
  readonly bytes: Uint8Array;
  /**
   * Whether it stands for events in the stream. Then it is sent as events are: with `--fd-socket`,
   * as a descriptor.
   */
  readonly isRecord: boolean;
}

/** One connection to a socket outlet. */
export class SocketClient {
  /** The index in its group's `live` list; -1 if it is not in it. */
  place = -1;
  /** Its place in the log; null unless it lags. */
  cursor: Cursor | null = null;
  /**
   * The message that it must get before any event; null if there is none. Only a client that lags
   * has one.
   */
  notice: Notice | null = null;
  /** Whether the client may still send: it has not shut down its side. */
  speaks = true;
  /** The EPOLL* bits for which its socket is watched. */
  watched = 1;
  /** The account that its filter is charged to; null without a filter. */
  account: QuotaAccount | null = null;
  /** The losses of all its earlier cursors. */
  #lostBefore = 0;
  /** The events of its earlier groups. */
  #addedBefore = 0;
  /** How many events had matched the group's filter when the client came to it. */
  #begin: number;

  constructor(
    /** Its number in the epoll set. Unlike its descriptor, it is never used again. */
    readonly token: number,
    readonly fd: number,
    readonly peer: Peer,
    private own: SocketGroup,
  ) {
    this.#begin = own.matched;
  }

  /** The group of the clients with the same filter. */
  get group(): SocketGroup {
    return this.own;
  }

  /** Moves the client to another group: its filter has changed. */
  moveTo(group: SocketGroup): void {
    this.#addedBefore = this.added;
    this.own = group;
    this.#begin = group.matched;
  }

  /** How many events have come for it, lost ones included. */
  get added(): number {
    return this.#addedBefore + this.own.matched - this.#begin;
  }

  /** The number of events that the ring has overwritten before the client read them. */
  get lost(): number {
    return this.#lostBefore + (this.cursor?.lost ?? 0);
  }

  /** The number of events that wait for it. */
  get pending(): number {
    return this.cursor?.pending ?? 0;
  }

  /** Drops the cursor and the notice, and keeps the count of reported losses. */
  forgetCursor(): void {
    this.#lostBefore += this.cursor?.toldLost ?? 0;
    this.cursor = null;
    this.notice = null;
  }
}

/** The clients with the same filter: an event is matched once for all of them. */
export class SocketGroup extends FilterGroup {
  /** The number of clients, live or not. */
  members = 0;
  /** Whether there are events that the live clients have not got yet. */
  fresh = false;
  /** The place of all live clients in the log. */
  leader = new Cursor(this);
  /** The live clients, in any order. */
  readonly live: SocketClient[] = [];
  /** The descriptors of the live clients, at the same indexes. The array may be longer. */
  sockets = new Int32Array(16);

  /** Adds a client that has everything to the live list. */
  join(subscriber: SocketClient): void {
    subscriber.forgetCursor();
    if (this.live.length === this.sockets.length) {
      const larger = new Int32Array(2 * this.sockets.length);
      larger.set(this.sockets);
      this.sockets = larger;
    }
    subscriber.place = this.live.length;
    this.sockets[subscriber.place] = subscriber.fd;
    this.live.push(subscriber);
  }

  /**
   * Takes a client off the live list, because it lags. The last live client moves to its index.
   *
   * @returns the client's new cursor, which stands behind the newest event
   */
  part(subscriber: SocketClient): Cursor {
    const { place } = subscriber;
    const last = this.live.pop()!;
    if (last !== subscriber) {
      this.live[place] = last;
      last.place = place;
      this.sockets[place] = last.fd;
    }
    subscriber.place = -1;
    return (subscriber.cursor = new Cursor(this));
  }

  /**
   * Moves the leader behind the newest event. Only for a group without live clients: the next one
   * begins there.
   */
  skip(): void {
    this.leader = new Cursor(this);
  }
}
