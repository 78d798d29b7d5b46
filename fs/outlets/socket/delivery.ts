/**
 * Sends events to the clients of a socket: to all live clients of a group in one call, and to each
 * client that lags at its own pace. It never waits: events that do not fit a client's socket stay
 * in the log.
 */
import { FailureWord, sendToAll } from '#native';
import type { Log } from '../../bus/log.js';
import { Errno, isShortage } from '../../shared/errors.js';
import { overflowText } from '../../uevent/text.js';
import { Batch } from './batch.js';
import type { Notice, SocketClient, SocketGroup } from './clients.js';
import type { SocketGroups } from './groups.js';
import type { Shortage } from './shortage.js';

/** The addon's function that sends events: `sendToAll` as bytes, `passToAll` as descriptors. */
export type Deliver = typeof sendToAll;

/** The connections of the clients, as far as the delivery needs them. */
export interface Connections {
  /** Polls a client's socket. @param forRoom whether to poll it for room, too */
  watch(client: SocketClient, forRoom: boolean): void;
  /** Reports that a client's socket is full. */
  isFull(client: SocketClient): void;
  /**
   * Drops a client to which the daemon can send no more.
   *
   * @param errno the error of its socket, positive
   */
  dropAfter(client: SocketClient, errno: number): void;
}

/** Sends events to clients, live or lagging. */
export class Delivery {
  readonly #batch = new Batch();
  #failed = new Int32Array(32);
  readonly #one = new Int32Array(1);
  readonly #oneFailed = new Int32Array(FailureWord.count);
  /** The clients that wait for descriptors or kernel memory, not for room in their socket. */
  readonly #starved = new Set<SocketClient>();
  /** How many events were sent, and how many the ring overwrote before a client had them. */
  readonly counted = { sent: 0, lost: 0 };

  /**
   * @param deliver the addon's function that sends events
   * @param log the log that the clients' cursors read
   */
  constructor(
    private readonly deliver: Deliver,
    private readonly log: Log,
    private readonly groups: SocketGroups,
    private readonly connections: Connections,
    private readonly shortage: Shortage,
  ) {}

  // ---- live clients

  /** Sends all events that have come to the live clients of a group. */
  push(group: SocketGroup): void {
    this.groups.pushed(group);
    const { live } = group;
    if (group.leader.overtaken) {
      // The batch was larger than the ring: each client gets the loss and the rest at its own pace.
      for (const client of [...live]) {
        group.part(client).follow(group.leader, 0);
        this.#waitForRoom(client);
      }
    }
    if (live.length === 0) return group.skip();
    for (
      let messages = this.#batch.gather(group.leader);
      messages > 0;
      messages = this.#batch.gather(group.leader)
    )
      this.#pushSome(group, messages);
  }

  #pushSome(group: SocketGroup, messages: number): void {
    const { leader, live, sockets } = group;
    if (live.length === 0) return;
    const { events, slices } = this.#batch;
    const room = FailureWord.count * sockets.length;
    if (this.#failed.length < room) this.#failed = new Int32Array(room);
    let incomplete: number;
    try {
      incomplete = this.deliver(
        sockets,
        live.length,
        this.log.memory,
        slices,
        messages,
        this.#failed,
      );
    } catch (error) {
      for (const client of [...live]) {
        group.part(client).standBefore(events[0], leader, messages - 1);
        this.#starve(client);
      }
      return this.shortage.report(error);
    }
    this.counted.sent += messages * live.length;
    // From the end, because the last live client moves to the index of one that parts.
    for (let i = incomplete - 1; i >= 0; i--) {
      const client = live[this.#failed[FailureWord.count * i + FailureWord.place]];
      const outcome = this.#failed[FailureWord.count * i + FailureWord.outcome];
      const taken = Math.max(0, outcome);
      this.counted.sent -= messages - taken;
      group.part(client).standBefore(events[taken], leader, messages - taken - 1);
      this.#heed(client, outcome);
    }
  }

  // ---- clients that lag

  /**
   * Sends to a client that lags as much as its socket accepts. A client that has everything becomes
   * live.
   */
  serve(client: SocketClient): void {
    const { group } = client;
    // so that the client's cursor and the group's leader end at the same event
    if (group.fresh) this.push(group);
    while (client.cursor !== null) {
      const { cursor } = client;
      if (client.notice !== null && !this.#tell(client, client.notice)) return;
      const lost = cursor.takeLoss();
      if (lost > 0) {
        this.counted.lost += lost;
        client.notice = { bytes: overflowText(lost), isRecord: true };
        continue;
      }
      const messages = this.#batch.gather(cursor);
      if (messages === 0) {
        group.join(client);
        return this.connections.watch(client, false);
      }
      const taken = this.#send(client, this.deliver, this.log.memory, messages);
      if (taken < 0) return;
      this.counted.sent += taken;
      if (taken === messages) continue;
      cursor.standBefore(this.#batch.events[taken], cursor, messages - taken - 1);
      return;
    }
  }

  /**
   * Sends a notice.
   *
   * @returns whether the socket accepted it
   */
  #tell(client: SocketClient, notice: Notice): boolean {
    this.#batch.setOne(notice.bytes.length);
    if (this.#send(client, notice.isRecord ? this.deliver : sendToAll, notice.bytes, 1) < 1)
      return false;
    client.notice = null;
    return true;
  }

  /**
   * Sends the messages of the batch to one client. If its socket does not accept all, the client
   * then waits for room, descriptors or memory.
   *
   * @returns how many messages were sent; -1 if the client was dropped
   */
  #send(client: SocketClient, deliver: Deliver, memory: Uint8Array, messages: number): number {
    this.#one[0] = client.fd;
    try {
      if (deliver(this.#one, 1, memory, this.#batch.slices, messages, this.#oneFailed) === 0)
        return messages;
    } catch (error) {
      this.#starve(client);
      this.shortage.report(error);
      return 0;
    }
    const outcome = this.#oneFailed[FailureWord.outcome];
    this.#heed(client, outcome);
    return client.cursor === null ? -1 : Math.max(0, outcome);
  }

  /**
   * Sends a last message to a client that is about to be dropped. If its socket has no room, the
   * client only sees the end of the connection.
   */
  sendLast(client: SocketClient, message: Uint8Array): void {
    this.#batch.setOne(message.length);
    this.#one[0] = client.fd;
    sendToAll(this.#one, 1, message, this.#batch.slices, 1, this.#oneFailed);
  }

  /**
   * Handles a client that has not received all messages: waits, or drops it.
   *
   * @param outcome how many messages it has received, or a negative errno
   */
  #heed(client: SocketClient, outcome: number): void {
    if (outcome >= 0 || outcome === -Errno.EAGAIN) this.#waitForRoom(client);
    else if (isShortage(outcome)) this.#starve(client);
    else this.connections.dropAfter(client, -outcome);
  }

  #waitForRoom(client: SocketClient): void {
    this.connections.isFull(client);
    this.connections.watch(client, true);
  }

  // ---- clients that wait for descriptors or memory

  /**
   * Retries later: the socket has room, but the daemon or its user is out of descriptors, or the
   * kernel out of memory. Polling would not report a change.
   */
  #starve(client: SocketClient): void {
    this.#starved.add(client);
    this.connections.watch(client, false);
    this.shortage.retrySoon();
  }

  /** Serves all clients that wait for descriptors or memory. */
  retry(): void {
    const starved = [...this.#starved];
    this.#starved.clear();
    for (const client of starved) this.serve(client);
    if (starved.length > this.#starved.size) this.shortage.over();
  }

  /** Returns whether a client waits for descriptors or memory. */
  isStarved(client: SocketClient): boolean {
    return this.#starved.has(client);
  }

  /** Forgets a client that is dropped. */
  forget(client: SocketClient): void {
    this.#starved.delete(client);
  }
}
