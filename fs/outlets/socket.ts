/**
 * Outlet to the clients of a Unix socket (SOCK_SEQPACKET), one message an event: as bytes
 * (`--socket`), or as a descriptor of a sealed memfd that all clients share (`--fd-socket`).
 *
 *   client                     daemon
 *   connects                   sends every event from now on
 *   sends a filter             sends filter@/eventfs, and from then on only events that match;
 *                              or sends error@/eventfs and closes the connection
 *   reads too slowly           sends overflow@/eventfs with LOST=<n>, then what the log has
 *   calls shutdown(SHUT_WR)    goes on sending
 *
 * A filter is in udev's match syntax. An empty message is the filter that matches all events.
 *
 * The daemon never waits for a client: an event that does not fit the client's socket stays in the
 * log.
 */
import { closeSync } from 'node:fs';
import {
  FailureWord,
  PeerWord,
  Readiness,
  ReadyWord,
  SliceWord,
  acceptSeqpacket,
  receiveSeqpacket,
  sendToAll,
} from '#native';
import { Cursor } from '../bus/readers/cursor.js';
import type { Event } from '../bus/event.js';
import { FilterIndex } from '../bus/filter-index.js';
import type { Filter } from '../uevent/filter/filter.js';
import type { Log } from '../bus/log.js';
import { overflowText } from '../uevent/text.js';
import { Errno, FsError, errnoText, isSystemError } from '../shared/errors.js';
import { quoted } from '../shared/escape.js';
import type { Logger } from '../shared/logger.js';
import { NO_TRACE, type Trace } from '../shared/trace.js';
import { EVERYTHING, type FilterHost, parse } from '../tree/filter-charge.js';
import { filteredPrice } from '../tree/prices.js';
import { type StatusLines, subscriberText } from '../shared/status-lines.js';
import type { Listener } from './listener.js';
import { SocketGroup, type Notice, type Peer, SocketClient } from './socket-clients.js';
import { MOST_MESSAGES, type Outlet } from './outlet.js';

/** Event bits of epoll_ctl(2). */
const Epoll = { in: 0x1, out: 0x4, error: 0x8, hangup: 0x10 } as const;
/** The token of the listening socket in the epoll set. Clients have tokens from 1 on. */
const LISTENER = 0;
/**
 * The most clients to serve in one turn of the event loop. Each may have sent a filter, which takes
 * a millisecond to parse.
 */
const MOST_READY = 4;
/** The most connections to accept in one turn. */
const MOST_ACCEPTED = 32;
/** The most connections of one user other than root. */
const MOST_OF_ONE_USER = 256;
/** The longest filter that the outlet receives, in bytes: more than a configuration can allow. */
const MOST_FILTER_BYTES = 64 * 1024;
/** Results of `receiveSeqpacket`: no message waits; the client has shut down its side. */
const NOTHING_THERE = -1;
const NOTHING_MORE = -2;
/** The delay before the next attempt if the daemon is out of descriptors. */
const RETRY_MS = 100;

/** The addon's function that sends events: `sendToAll` as bytes, `passToAll` as descriptors. */
export type Deliver = typeof sendToAll;

/** Sends events to the clients of one listening socket. */
export class SocketOutlet implements Outlet {
  /** The groups by the text of their filter. */
  readonly #groups = new Map<string, SocketGroup>();
  readonly #index = new FilterIndex<SocketGroup>();
  /** The groups whose live clients have not got all events yet. */
  readonly #fresh = new Set<SocketGroup>();
  /** All clients by token. */
  readonly #subscribers = new Map<number, SocketClient>();
  /** The number of clients by uid. */
  readonly #ofUser = new Map<number, number>();
  readonly #readiness: Readiness;
  readonly #ready = new Uint32Array(ReadyWord.count * MOST_READY);
  readonly #peer = new Uint32Array(PeerWord.count);
  readonly #input = new Uint8Array(MOST_FILTER_BYTES + 1);
  readonly #events = new Array<Event>(MOST_MESSAGES);
  readonly #slices = new Uint32Array(SliceWord.count * MOST_MESSAGES);
  #failed = new Int32Array(32);
  readonly #one = new Int32Array(1);
  readonly #oneFailed = new Int32Array(FailureWord.count);
  /** The clients that wait for descriptors or kernel memory, not for room in their socket. */
  readonly #starved = new Set<SocketClient>();
  #retry: NodeJS.Timeout | null = null;
  /** Whether the log has reported the present shortage of descriptors or memory. */
  #saidSo = false;
  #tokens = LISTENER;
  readonly #counted = { sent: 0, lost: 0, refused: 0 };

  /**
   * @param key the prefix of its keys in `.status`
   * @param listener the socket; the outlet closes it
   * @param deliver the addon's function that sends events
   * @param log the log that the clients' cursors read
   * @param host limits and charges for the filters that clients send
   */
  constructor(
    private readonly key: 'SOCKET' | 'FDSOCKET',
    private readonly listener: Listener,
    private readonly deliver: Deliver,
    private readonly log: Log,
    private readonly host: FilterHost,
    private readonly logger: Logger,
    private readonly trace: Trace = NO_TRACE,
  ) {
    this.#readiness = new Readiness({
      ready: this.#ready,
      onReady: (count) => this.#onReady(count),
    });
    this.#readiness.add(listener.fd, LISTENER, Epoll.in);
  }

  // ---- the bus

  /** Offers an event to the groups whose filter may match. */
  take(event: Event): void {
    this.#index.offer(event, this.#deliver);
  }

  readonly #deliver = (group: SocketGroup, event: Event): void => {
    if (!group.take(event)) return;
    group.fresh = true;
    this.#fresh.add(group);
  };

  /**
   * Sends all events that have come to the live clients.
   *
   * @returns false: no work is left for a later turn
   */
  settle(): boolean {
    for (const group of this.#fresh) this.#push(group);
    return false;
  }

  /** Sends all events that have come to the live clients of a group. */
  #push(group: SocketGroup): void {
    group.fresh = false;
    this.#fresh.delete(group);
    const { live } = group;
    if (group.leader.overtaken) {
      // The batch was larger than the ring: each client gets the loss and the rest at its own pace.
      for (const subscriber of [...live]) {
        group.part(subscriber).follow(group.leader, 0);
        this.#waitForRoom(subscriber);
      }
    }
    if (live.length === 0) return group.skip();
    for (
      let messages = this.#gather(group.leader);
      messages > 0;
      messages = this.#gather(group.leader)
    )
      this.#pushSome(group, messages);
  }

  #pushSome(group: SocketGroup, messages: number): void {
    const { leader, live, sockets } = group;
    if (live.length === 0) return;
    const room = FailureWord.count * sockets.length;
    if (this.#failed.length < room) this.#failed = new Int32Array(room);
    let incomplete: number;
    try {
      incomplete = this.deliver(
        sockets,
        live.length,
        this.log.memory,
        this.#slices,
        messages,
        this.#failed,
      );
    } catch (error) {
      for (const subscriber of [...live]) {
        group.part(subscriber).standBefore(this.#events[0], leader, messages - 1);
        this.#starve(subscriber);
      }
      return this.#complainOf(error);
    }
    this.#counted.sent += messages * live.length;
    // From the end, because the last live client moves to the index of one that parts.
    for (let i = incomplete - 1; i >= 0; i--) {
      const subscriber = live[this.#failed[FailureWord.count * i + FailureWord.place]];
      const outcome = this.#failed[FailureWord.count * i + FailureWord.outcome];
      const taken = Math.max(0, outcome);
      this.#counted.sent -= messages - taken;
      group.part(subscriber).standBefore(this.#events[taken], leader, messages - taken - 1);
      this.#heed(subscriber, outcome);
    }
  }

  /**
   * Takes the next events off a cursor, at most MOST_MESSAGES, and fills `#events` and `#slices`.
   *
   * @returns how many
   */
  #gather(cursor: Cursor): number {
    let messages = 0;
    for (
      let event: Event | undefined;
      messages < MOST_MESSAGES && (event = cursor.next()) !== undefined;
      messages++
    ) {
      this.#events[messages] = event;
      this.#slices[SliceWord.count * messages + SliceWord.start] = event.start;
      this.#slices[SliceWord.count * messages + SliceWord.length] = event.length;
    }
    return messages;
  }

  // ---- clients that lag

  /**
   * Sends to a client that lags as much as its socket accepts. A client that has everything becomes
   * live.
   */
  #serve(subscriber: SocketClient): void {
    const { group } = subscriber;
    // so that the client's cursor and the group's leader end at the same event
    if (group.fresh) this.#push(group);
    while (subscriber.cursor !== null) {
      const { cursor } = subscriber;
      if (subscriber.notice !== null && !this.#tell(subscriber, subscriber.notice)) return;
      const lost = cursor.takeLoss();
      if (lost > 0) {
        this.#counted.lost += lost;
        subscriber.notice = { bytes: overflowText(lost), isRecord: true };
        continue;
      }
      const messages = this.#gather(cursor);
      if (messages === 0) {
        group.join(subscriber);
        return this.#watch(subscriber, false);
      }
      const taken = this.#send(subscriber, this.deliver, this.log.memory, messages);
      if (taken < 0) return;
      this.#counted.sent += taken;
      if (taken === messages) continue;
      cursor.standBefore(this.#events[taken], cursor, messages - taken - 1);
      return;
    }
  }

  /**
   * Sends a notice.
   *
   * @returns whether the socket accepted it
   */
  #tell(subscriber: SocketClient, notice: Notice): boolean {
    this.#slices[SliceWord.start] = 0;
    this.#slices[SliceWord.length] = notice.bytes.length;
    if (this.#send(subscriber, notice.isRecord ? this.deliver : sendToAll, notice.bytes, 1) < 1)
      return false;
    subscriber.notice = null;
    return true;
  }

  /**
   * Sends the messages of `#slices` to one client. If its socket does not accept all, the client
   * then waits for room, descriptors or memory.
   *
   * @returns how many messages were sent; -1 if the client was dropped
   */
  #send(subscriber: SocketClient, deliver: Deliver, memory: Uint8Array, messages: number): number {
    this.#one[0] = subscriber.fd;
    try {
      if (deliver(this.#one, 1, memory, this.#slices, messages, this.#oneFailed) === 0)
        return messages;
    } catch (error) {
      this.#starve(subscriber);
      this.#complainOf(error);
      return 0;
    }
    const outcome = this.#oneFailed[FailureWord.outcome];
    this.#heed(subscriber, outcome);
    return subscriber.cursor === null ? -1 : Math.max(0, outcome);
  }

  /**
   * Handles a client that has not received all messages: waits, or drops it.
   *
   * @param outcome how many messages it has received, or a negative errno
   */
  #heed(subscriber: SocketClient, outcome: number): void {
    if (outcome >= 0 || outcome === -Errno.EAGAIN) this.#waitForRoom(subscriber);
    else if (STARVING.has(-outcome)) this.#starve(subscriber);
    else {
      if (!ENDED.has(-outcome))
        this.logger.warn(
          `${this.listener.path}: dropped the subscriber ${subscriber.peer.pid}: ${errnoText(-outcome)}`,
        );
      this.#drop(subscriber);
    }
  }

  #waitForRoom(subscriber: SocketClient): void {
    this.trace.outlets?.(
      `${this.#nameOf(subscriber)} is full: ${subscriber.pending} events wait for it`,
    );
    this.#watch(subscriber, true);
  }

  /** Returns the client's name for the trace. */
  #nameOf({ token, peer: { pid, uid } }: SocketClient): string {
    return `${this.key.toLowerCase()} client ${token} (pid=${pid} uid=${uid})`;
  }

  /**
   * Retries later: the socket has room, but the daemon or its user is out of descriptors, or the
   * kernel out of memory. Polling would not report a change.
   */
  #starve(subscriber: SocketClient): void {
    this.#starved.add(subscriber);
    this.#watch(subscriber, false);
    this.#retrySoon();
  }

  #retrySoon(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = null;
      this.#readiness.change(this.listener.fd, LISTENER, Epoll.in);
      const starved = [...this.#starved];
      this.#starved.clear();
      for (const subscriber of starved) this.#serve(subscriber);
      if (starved.length > this.#starved.size) this.#saidSo = false;
    }, RETRY_MS);
  }

  /** Logs a shortage once, until it is over. */
  #complainOf(error: unknown): void {
    if (!isSystemError(error)) throw error;
    if (!this.#saidSo)
      this.logger.warn(
        `${this.listener.path}: ${errnoText(error.errno)}: subscribers wait until that is over`,
      );
    this.#saidSo = true;
  }

  // ---- clients connect, send a filter, and disconnect

  #onReady(count: number): void {
    for (let i = 0; i < count; i++) {
      const token = this.#ready[ReadyWord.count * i + ReadyWord.token];
      const events = this.#ready[ReadyWord.count * i + ReadyWord.events];
      if (token === LISTENER) {
        this.#accept();
        continue;
      }
      // undefined if it was dropped earlier in this call
      const subscriber = this.#subscribers.get(token);
      if (subscriber === undefined) continue;
      if ((events & (Epoll.hangup | Epoll.error)) !== 0) {
        this.#drop(subscriber);
        continue;
      }
      if ((events & Epoll.in) !== 0) this.#hear(subscriber);
      if ((events & Epoll.out) !== 0 && subscriber.cursor !== null) this.#serve(subscriber);
    }
  }

  #accept(): void {
    try {
      for (let accepted = 0; accepted < MOST_ACCEPTED; accepted++) {
        const fd = acceptSeqpacket(this.listener.fd, this.#peer);
        if (fd < 0) break;
        const peer = this.#peer;
        this.#welcome(fd, {
          pid: peer[PeerWord.pid],
          uid: peer[PeerWord.uid],
          gid: peer[PeerWord.gid],
        });
      }
      this.#saidSo = false;
    } catch (error) {
      // Out of descriptors: connections wait in the backlog. The outlet stops polling the listener,
      // which would stay readable.
      this.#readiness.change(this.listener.fd, LISTENER, 0);
      this.#retrySoon();
      this.#complainOf(error);
    }
  }

  #welcome(fd: number, peer: Peer): void {
    const token = ++this.#tokens;
    try {
      this.#readiness.add(fd, token, Epoll.in);
    } catch (error) {
      closeSync(fd); // ENOSPC, ENOMEM: the client sees the end of the connection
      throw error;
    }
    const subscriber = new SocketClient(token, fd, peer, this.#groupOf(EVERYTHING));
    this.#subscribers.set(token, subscriber);
    subscriber.group.members++;
    const others = this.#ofUser.get(peer.uid) ?? 0;
    this.#ofUser.set(peer.uid, others + 1);
    this.trace.outlets?.(`${this.#nameOf(subscriber)} has come`);
    if (others >= MOST_OF_ONE_USER && peer.uid !== 0)
      return this.#refuse(subscriber, `you have ${others} connections already`);
    if (subscriber.group.fresh) this.#push(subscriber.group);
    subscriber.group.join(subscriber);
  }

  #groupOf(filter: Filter): SocketGroup {
    let group = this.#groups.get(filter.text);
    if (group === undefined) {
      group = new SocketGroup(this.log, filter);
      this.#groups.set(filter.text, group);
      this.#index.add(group);
    }
    return group;
  }

  /** Receives a filter, or the client's shutdown(2). */
  #hear(subscriber: SocketClient): void {
    let length: number;
    try {
      length = receiveSeqpacket(subscriber.fd, this.#input);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      return this.#drop(subscriber);
    }
    if (length === NOTHING_THERE) return;
    if (length === NOTHING_MORE) {
      subscriber.speaks = false;
      return this.#watch(subscriber, subscriber.cursor !== null && !this.#starved.has(subscriber));
    }
    try {
      this.#refilter(
        subscriber,
        parse(
          Buffer.from(this.#input.buffer, 0, length).toString('latin1'),
          this.host.filterLimits,
        ),
      );
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      this.#refuse(subscriber, error.why ?? error.message);
    }
  }

  /**
   * Sets a client's filter. Events that waited for it under the old filter are not sent any more.
   *
   * @throws FsError EDQUOT or ENOSPC if the filter exceeds a quota
   */
  #refilter(subscriber: SocketClient, filter: Filter): void {
    const { uid, gid } = subscriber.peer;
    this.#leave(subscriber);
    subscriber.group = this.#groupOf(EVERYTHING); // where the client stays if the charge fails
    subscriber.group.members++;
    const account = this.host.ledger.account(uid, gid);
    account.chargeAll(filteredPrice(filter, this.log.limits.events));
    this.#leave(subscriber);
    if (!filter.all) subscriber.account = account;
    subscriber.group = this.#groupOf(filter);
    subscriber.group.members++;
    subscriber.cursor = new Cursor(subscriber.group);
    subscriber.notice = {
      bytes: answerText('filter', 'FILTER', filter.text.replaceAll('\n', '; ')),
      isRecord: false,
    };
    this.trace.outlets?.(`${this.#nameOf(subscriber)} has the filter ${quoted(filter.text)}`);
    if (!this.#starved.has(subscriber)) this.#serve(subscriber);
  }

  #refuse(subscriber: SocketClient, why: string): void {
    this.#counted.refused++;
    this.trace.outlets?.(`${this.#nameOf(subscriber)} is refused: ${why}`);
    const text = answerText('error', 'ERROR', why);
    this.#slices[SliceWord.start] = 0;
    this.#slices[SliceWord.length] = text.length;
    this.#one[0] = subscriber.fd;
    // if its socket has no room, the client only sees the end of the connection
    sendToAll(this.#one, 1, text, this.#slices, 1, this.#oneFailed);
    this.#drop(subscriber);
  }

  #drop(subscriber: SocketClient): void {
    this.trace.outlets?.(
      `${this.#nameOf(subscriber)} has gone: ${subscriber.pending} events waited for it, ${subscriber.lost} were lost`,
    );
    this.#leave(subscriber);
    this.#starved.delete(subscriber);
    this.#subscribers.delete(subscriber.token);
    const left = this.#ofUser.get(subscriber.peer.uid)! - 1;
    if (left === 0) this.#ofUser.delete(subscriber.peer.uid);
    else this.#ofUser.set(subscriber.peer.uid, left);
    this.#readiness.remove(subscriber.fd);
    closeSync(subscriber.fd);
  }

  #leave(subscriber: SocketClient): void {
    const { group } = subscriber;
    if (subscriber.place >= 0) group.part(subscriber);
    subscriber.forgetCursor();
    if (subscriber.account !== null)
      subscriber.account.refundAll(filteredPrice(group.filter, this.log.limits.events));
    subscriber.account = null;
    if (--group.members > 0) return;
    this.#groups.delete(group.filter.text);
    this.#index.remove(group);
    this.#fresh.delete(group);
  }

  #watch(subscriber: SocketClient, forRoom: boolean): void {
    const events = (subscriber.speaks ? Epoll.in : 0) | (forRoom ? Epoll.out : 0);
    if (events === subscriber.watched) return;
    subscriber.watched = events;
    this.#readiness.change(subscriber.fd, subscriber.token, events);
  }

  // ---- status

  /** Returns the outlet's lines of `log/.status`. */
  statusLines(): StatusLines {
    const subscribers = [...this.#subscribers.values()];
    return [
      [`${this.key}_SUBSCRIBERS`, subscribers.length],
      [`${this.key}_SENT`, this.#counted.sent],
      [`${this.key}_LOST`, this.#counted.lost],
      [`${this.key}_REFUSED`, this.#counted.refused],
      ...subscribers.map(({ peer, group, pending, lost }, index) => {
        const { pid, uid } = peer;
        return [
          `${this.key}_${index}`,
          subscriberText({ pid, uid, pending, lost, filter: group.filter.text }),
        ] as const;
      }),
    ];
  }

  /** Drops all clients and closes the listener. */
  close(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    for (const subscriber of [...this.#subscribers.values()]) this.#drop(subscriber);
    this.#readiness.close();
    this.listener.close();
  }
}

/** unix(7): too many descriptors of one user are in flight. Node has no name for this errno. */
const ETOOMANYREFS = 109;
/** Errnos of a shortage of descriptors or memory. Polling the socket does not report its end. */
const STARVING = new Set<number>([
  ETOOMANYREFS,
  Errno.EMFILE,
  Errno.ENFILE,
  Errno.ENOBUFS,
  Errno.ENOMEM,
]);
/** Errnos of a connection that the client has closed. */
const ENDED = new Set<number>([Errno.EPIPE, Errno.ECONNRESET, Errno.ENOTCONN]);

/** Formats an answer, which has the form of an event. */
function answerText(action: string, key: string, value: string): Uint8Array {
  return Buffer.from(
    `${action}@/eventfs\nACTION=${action}\nDEVPATH=/eventfs\nSUBSYSTEM=eventfs\n${key}=${value}\n`,
    'latin1',
  );
}
