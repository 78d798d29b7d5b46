/**
 * Who is connected to a socket, and where in the log they are.
 *
 * Those who have all that came are in their group's `live` list, and what comes next goes to all of them in one call into
 * the addon. One whose socket is full is taken off that list and gets a cursor of its own: its queue is the log, which is
 * there anyway, and what the ring overtakes before it reads is lost by a known number. Who is idle costs nothing.
 */
import { FilterGroup, Cursor } from '../bus/cursor.js';
import type { QuotaAccount } from '../tree/quota.js';

export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Something to say that is in no log: an answer, or how much was lost. */
export interface Notice {
  readonly bytes: Uint8Array;
  /** Whether it stands in the place of events, and goes the way that they go. */
  readonly isRecord: boolean;
}

export class SocketClient {
  /** Its place in its group's live list, or -1. */
  place = -1;
  /** Where it stands; only while it lags. */
  cursor: Cursor | null = null;
  /** What it has to be told before anything else; only while it lags. */
  notice: Notice | null = null;
  /** Whether it may still say something: it has not shut down its side. */
  speaks = true;
  /** The EPOLL* bits that its socket is watched for. */
  watched = 1;
  /** Where its filter is charged, once it has one. */
  account: QuotaAccount | null = null;
  #lostBefore = 0;

  constructor(
    /** Never used again, unlike its descriptor. */
    readonly token: number,
    readonly fd: number,
    readonly peer: Peer,
    public group: SocketGroup,
  ) {}

  /** How many events the ring has taken from it. */
  get lost(): number {
    return this.#lostBefore + (this.cursor?.lost ?? 0);
  }

  /** How many events wait for it. */
  get pending(): number {
    return this.cursor?.pending ?? 0;
  }

  forgetCursor(): void {
    this.#lostBefore += this.cursor?.toldLost ?? 0;
    this.cursor = null;
    this.notice = null;
  }
}

/** Those who have the same filter: an event is matched once for all of them. */
export class SocketGroup extends FilterGroup {
  /** How many there are, live or not. */
  members = 0;
  /** Whether there is something that the live have not got yet. */
  fresh = false;
  /** Where the live ones stand. */
  leader = new Cursor(this);
  readonly live: SocketClient[] = [];
  /** Their sockets, at the same places. */
  sockets = new Int32Array(16);

  /** `subscriber` has all that there is. */
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

  /** `subscriber` lags from now on; gives the cursor that it gets. The last one takes its place among the live. */
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

  /** Nobody is live: whoever comes next begins at the end. */
  skip(): void {
    this.leader = new Cursor(this);
  }
}
