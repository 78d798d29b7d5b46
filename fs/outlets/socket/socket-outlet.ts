/**
 * Outlet to the clients of a Unix socket (SOCK_SEQPACKET), one message an event: as bytes
 * (`--socket`), or as a descriptor of a sealed memfd that all clients share (`--fd-socket`).
 *
 *   client                     daemon
 *   connects                   sends every event from now on
 *   sends a filter             sends filter@/eventfs, and from then on only events that match;
 *                              or sends error@/eventfs and closes the connection
 *   reads too slowly           sends overflow@/eventfs with LOST=<n>, then what the log has
 *   calls shutdown(SHUT_WR)    still sends events
 *
 * A filter is in udev's match syntax. An empty message is the filter that matches all events. The
 * daemon never waits for a client: an event that does not fit the client's socket stays in the log.
 */
import { closeSync } from 'node:fs';
import { PeerWord, Readiness, ReadyWord, acceptSeqpacket, receiveSeqpacket } from '#native';
import { Cursor } from '../../bus/readers/cursor.js';
import type { Event } from '../../bus/event.js';
import { Errno, FsError, errnoText, isSystemError } from '../../shared/errors.js';
import { quoted } from '../../shared/escape.js';
import { type StatusLines, subscriberText } from '../../shared/status-lines.js';
import { EVERYTHING, parse } from '../../tree/filter-charge.js';
import type { Filter } from '../../uevent/filter/filter.js';
import type { Listener } from '../listener.js';
import type { Outlet, OutletHost } from '../outlet.js';
import { errorAnswer, filterAnswer } from './answers.js';
import { type Peer, SocketClient } from './clients.js';
import { type Connections, type Deliver, Delivery } from './delivery.js';
import { SocketGroups } from './groups.js';
import { Shortage } from './shortage.js';
import { UserCounts } from './user-counts.js';

const Epoll = { in: 0x1, out: 0x4, error: 0x8, hangup: 0x10 } as const; // epoll_ctl(2)
/** The token of the listening socket in the epoll set. Clients have tokens from 1 on. */
const LISTENER = 0;
/** The most clients to serve in one turn: each may have sent a filter, 1 ms to parse. */
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
/** Errnos of a connection that the client has closed. */
const ENDED = new Set<number>([Errno.EPIPE, Errno.ECONNRESET, Errno.ENOTCONN]);

/** Sends events to the clients of one listening socket. */
export class SocketOutlet implements Outlet, Connections {
  readonly #groups: SocketGroups;
  readonly #delivery: Delivery;
  readonly #shortage: Shortage;
  /** All clients by token. */
  readonly #clients = new Map<number, SocketClient>();
  readonly #ofUser = new UserCounts();
  readonly #readiness: Readiness;
  readonly #ready = new Uint32Array(ReadyWord.count * MOST_READY);
  readonly #peer = new Uint32Array(PeerWord.count);
  readonly #input = new Uint8Array(MOST_FILTER_BYTES + 1);
  #tokens = LISTENER;
  #refused = 0;

  /**
   * @param key the prefix of its keys in `.status`
   * @param listener the socket; the outlet closes it
   * @param deliver the addon's function that sends events
   */
  constructor(
    private readonly key: 'SOCKET' | 'FDSOCKET',
    private readonly listener: Listener,
    deliver: Deliver,
    private readonly host: OutletHost,
  ) {
    const { bus, filters, logger } = host;
    this.#shortage = new Shortage(listener.path, logger, () => {
      this.#readiness.change(listener.fd, LISTENER, Epoll.in); // accepts connections again
      this.#delivery.retry();
    });
    this.#groups = new SocketGroups(bus.log, filters);
    this.#delivery = new Delivery(deliver, bus.log, this.#groups, this, this.#shortage);
    this.#readiness = new Readiness({
      ready: this.#ready,
      onReady: (count) => this.#onReady(count),
    });
    this.#readiness.add(listener.fd, LISTENER, 0);
  }

  /** Accepts connections from now on. Until then they wait: another daemon may serve them. */
  start(): void {
    this.listener.start();
    this.#readiness.change(this.listener.fd, LISTENER, Epoll.in);
  }

  // ---- the bus

  /** Offers an event to the groups whose filter may match. */
  take(event: Event): void {
    this.#groups.take(event);
  }

  /**
   * Sends all events that have come to the live clients.
   *
   * @returns false: no work is left for a later turn
   */
  settle(): boolean {
    for (const group of this.#groups.fresh) this.#delivery.push(group);
    return false;
  }

  // ---- Connections

  /**
   * Polls a client's socket: for input as long as the client may send a filter, and for room if
   * `forRoom`.
   */
  watch(client: SocketClient, forRoom: boolean): void {
    const events = (client.speaks ? Epoll.in : 0) | (forRoom ? Epoll.out : 0);
    if (events === client.watched) return;
    client.watched = events;
    this.#readiness.change(client.fd, client.token, events);
  }

  /** Traces that a client's socket is full. */
  isFull(client: SocketClient): void {
    const name = this.#nameOf(client);
    this.host.trace.outlets?.(`${name}: its socket is full, ${client.pending} events are pending`);
  }

  /** Drops a client, and logs it unless the client has closed the connection. */
  dropAfter(client: SocketClient, errno: number): void {
    if (!ENDED.has(errno))
      this.host.logger.warn(
        `${this.listener.path}: dropped subscriber ${client.peer.pid}: ${errnoText(errno)}`,
      );
    this.#drop(client);
  }

  /** Returns the client's name for the trace. */
  #nameOf({ token, peer: { pid, uid } }: SocketClient): string {
    return `${this.key.toLowerCase()} client ${token} (pid=${pid} uid=${uid})`;
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
      const client = this.#clients.get(token);
      if (client === undefined) continue;
      if ((events & (Epoll.hangup | Epoll.error)) !== 0) {
        this.#drop(client);
        continue;
      }
      if ((events & Epoll.in) !== 0) this.#hear(client);
      if ((events & Epoll.out) !== 0 && client.cursor !== null) this.#delivery.serve(client);
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
      this.#shortage.over();
    } catch (error) {
      // Out of descriptors: connections wait in the backlog. The outlet stops polling the listener,
      // which would stay readable.
      this.#readiness.change(this.listener.fd, LISTENER, 0);
      this.#shortage.retrySoon();
      this.#shortage.report(error);
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
    const client = new SocketClient(token, fd, peer, this.#groups.of(EVERYTHING));
    this.#clients.set(token, client);
    client.group.members++;
    const others = this.#ofUser.add(peer.uid);
    this.host.trace.outlets?.(`${this.#nameOf(client)} connected`);
    if (others >= MOST_OF_ONE_USER && peer.uid !== 0)
      return this.#refuse(client, `this user has ${others} connections already, the most allowed`);
    if (client.group.fresh) this.#delivery.push(client.group);
    client.group.join(client);
  }

  /** Receives a filter, or the client's shutdown(2). */
  #hear(client: SocketClient): void {
    let length: number;
    try {
      length = receiveSeqpacket(client.fd, this.#input);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      return this.#drop(client);
    }
    if (length === NOTHING_THERE) return;
    if (length === NOTHING_MORE) {
      client.speaks = false;
      return this.watch(client, client.cursor !== null && !this.#delivery.isStarved(client));
    }
    try {
      const text = Buffer.from(this.#input.buffer, 0, length).toString('latin1');
      this.#refilter(client, parse(text, this.host.filters.filterLimits));
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      this.#refuse(client, error.why ?? error.message);
    }
  }

  /**
   * Sets a client's filter. Events that waited for it under the old filter are not sent any more.
   *
   * @throws FsError EDQUOT or ENOSPC if the filter exceeds a quota
   */
  #refilter(client: SocketClient, filter: Filter): void {
    this.#groups.move(client, filter);
    client.cursor = new Cursor(client.group);
    client.notice = { bytes: filterAnswer(filter), isRecord: false };
    this.host.trace.outlets?.(`${this.#nameOf(client)} set the filter ${quoted(filter.text)}`);
    if (!this.#delivery.isStarved(client)) this.#delivery.serve(client);
  }

  #refuse(client: SocketClient, why: string): void {
    this.#refused++;
    this.host.trace.outlets?.(`${this.#nameOf(client)} is refused: ${why}`);
    this.#delivery.sendLast(client, errorAnswer(why));
    this.#drop(client);
  }

  #drop(client: SocketClient): void {
    this.host.trace.outlets?.(
      `${this.#nameOf(client)} disconnected: ${client.pending} events were pending, ${client.lost} were lost`,
    );
    this.#groups.leave(client);
    this.#delivery.forget(client);
    this.#clients.delete(client.token);
    this.#ofUser.remove(client.peer.uid);
    this.#readiness.remove(client.fd);
    closeSync(client.fd);
  }

  // ---- status

  /** Returns the outlet's lines of `log/.status`. */
  statusLines(): StatusLines {
    const { sent, lost: lostInAll } = this.#delivery.counted;
    const subscribers = [...this.#clients.values()];
    return [
      [`${this.key}_SUBSCRIBERS`, subscribers.length],
      [`${this.key}_SENT`, sent],
      [`${this.key}_LOST`, lostInAll],
      [`${this.key}_REFUSED`, this.#refused],
      ...subscribers.map(({ token: id, peer, group, pending, lost, added }, index) => {
        const { pid, uid } = peer;
        const { text: filter } = group.filter;
        return [
          `${this.key}_${index}`,
          subscriberText({ pid, id, uid, pending, lost, added, filter }),
        ] as const;
      }),
    ];
  }

  /** Drops all clients and closes the listener. */
  close(): void {
    this.#shortage.close();
    for (const client of [...this.#clients.values()]) this.#drop(client);
    this.#readiness.close();
    this.listener.close();
  }
}
