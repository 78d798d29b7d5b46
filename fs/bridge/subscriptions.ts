/** The subscriptions to the events of other hosts, changed many at a time. */
import type { Logger } from '../shared/log/logger.js';
import type { Connection } from './mqtt/connection.js';
import { reasonText } from './mqtt/reasons.js';
import { eventTopic } from './protocol/names.js';

/** The most bytes of the topics of one packet. */
const MOST_BYTES = 32 * 1024;
/** The bytes of a topic in a packet beside its text. */
const TOPIC_BYTES = 3;

/** Changes of subscriptions that wait. */
export class Subscriptions {
  readonly #wanted = new Map<string, boolean>();

  constructor(private readonly logger: Logger) {}

  /** Wants the events of a host, or no longer. */
  want(host: string, isWanted: boolean): void {
    this.#wanted.set(host, isWanted);
  }

  /** Forgets the changes: a new connection has no subscription. */
  clear(): void {
    this.#wanted.clear();
  }

  /** Sends the changes. @param connection the open one; null if there is none */
  flush(connection: Connection | null): void {
    if (this.#wanted.size === 0 || connection === null) return;
    const topics = { on: [] as string[], off: [] as string[] };
    for (const [host, isWanted] of this.#wanted)
      topics[isWanted ? 'on' : 'off'].push(eventTopic(host));
    this.#wanted.clear();
    const ignore = (): void => undefined;
    // The events are asked for one gap after the other, as if the broker had dropped them.
    const refused = (code: number): void =>
      this.logger.warn(`the broker refuses the events of other hosts: ${reasonText(code)}`);
    const most = Math.min(MOST_BYTES, connection.mostPayload);
    for (const some of portions(topics.on, most)) connection.subscribe(some, ignore, refused);
    for (const some of portions(topics.off, most)) connection.unsubscribe(some);
  }
}

/** Divides topics among packets. @param most the bytes of a packet */
function* portions(topics: readonly string[], most: number): Generator<string[]> {
  let some: string[] = [];
  let bytes = 0;
  for (const topic of topics) {
    const own = topic.length + TOPIC_BYTES;
    if (bytes + own > most && some.length > 0) {
      yield some;
      some = [];
      bytes = 0;
    }
    some.push(topic);
    bytes += own;
  }
  if (some.length > 0) yield some;
}
