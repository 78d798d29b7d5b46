/** The subscriptions to the events of other hosts, changed many at a time. */
import type { Connection } from './mqtt/connection.js';
import { eventTopic } from './protocol/names.js';

/** The most topics of one packet. */
const MOST_TOPICS = 500;

/** Changes of subscriptions that wait. */
export class Subscriptions {
  readonly #wanted = new Map<string, boolean>();

  /** Wants the events of a host, or no longer. */
  want(host: string, isWanted: boolean): void {
    this.#wanted.set(host, isWanted);
  }

  /** Forgets the changes: a new connection has no subscription. */
  clear(): void {
    this.#wanted.clear();
  }

  /** Sends the changes. */
  flush(connection: Connection | null): void {
    if (this.#wanted.size === 0 || connection === null) return;
    const topics = { on: [] as string[], off: [] as string[] };
    for (const [host, isWanted] of this.#wanted)
      topics[isWanted ? 'on' : 'off'].push(eventTopic(host));
    this.#wanted.clear();
    for (let at = 0; at < topics.on.length; at += MOST_TOPICS)
      connection.subscribe(topics.on.slice(at, at + MOST_TOPICS));
    for (let at = 0; at < topics.off.length; at += MOST_TOPICS)
      connection.unsubscribe(topics.off.slice(at, at + MOST_TOPICS));
  }
}
