/**
 * Finds out by messages to this host itself whether the broker has what CONNACK does not tell: user
 * properties, and retained messages for subscriptions with wildcards, which RabbitMQ lacks.
 *
 *   publish, retained --> subscribe again --> publish the end --> remove the retained message
 *
 * The end comes back behind the first message. Some brokers look for retained messages meanwhile.
 */
import type { Logger } from '../shared/log/logger.js';
import type { Connection } from './mqtt/connection.js';
import type { ArrivedMessage } from './mqtt/messages.js';
import { randomId } from './options.js';
import { answerTopic } from './protocol/names.js';

/** How long a retained message may come behind a later one, in ms. */
const LATE_MS = 2000;

/** The abilities of a broker. */
export interface Abilities {
  /** Whether a subscription with a wildcard gets the messages that the broker has retained. */
  readonly retained: boolean;
  /** Whether messages keep their user properties. */
  readonly properties: boolean;
}

/** Why the bridge says its state again and again. */
export const NOT_RETAINED =
  'subscriptions with wildcards get no retained messages from this broker, ' +
  'so the bridge publishes its state in each keep-alive time, and finds other hosts that late';
/** Why other hosts can't read the events. */
export const NO_PROPERTIES =
  'this broker drops user properties, so no host can read the events of others ' +
  '(use a broker with MQTT 5 at both ends)';

const ignore = (): void => undefined;

/** The trial of one connection. */
export class Echo {
  readonly #topic: string;
  #nonce = '';
  #retained = false;
  #properties = false;
  #connection: Connection | null = null;
  #timer: NodeJS.Timeout | null = null;

  /**
   * @param host this host
   * @param found called with the result, unless the messages do not come back
   */
  constructor(
    private readonly host: string,
    private readonly found: (abilities: Abilities) => void,
  ) {
    this.#topic = answerTopic(host, host);
  }

  /**
   * Begins. The host's answers to itself are subscribed already.
   *
   * @param refused called if the broker refuses one of the packets; by default that is ignored
   */
  start(connection: Connection, refused: (code: number) => void = ignore): void {
    this.stop();
    this.#connection = connection;
    this.#nonce = randomId(8);
    this.#retained = this.#properties = false;
    const userProperties = { session: this.#nonce };
    const first = { topic: this.#topic, payload: this.#nonce, retain: true, userProperties };
    const end = { topic: this.#topic, payload: this.#end };
    const again = (): void =>
      connection.subscribe(
        [answerTopic('+', this.host)],
        () => connection.publish(end, ignore, refused),
        refused,
      );
    connection.publish(first, again, refused);
  }

  get #end(): string {
    return `${this.#nonce}-end`;
  }

  /** Takes a message of this host to itself. Those of earlier trials are ignored. */
  take({ payload, retain, properties }: ArrivedMessage): void {
    if (this.#connection === null) return;
    const text = payload.toString('latin1');
    if (text === this.#nonce) {
      this.#retained ||= retain;
      this.#properties ||= properties?.userProperties?.session === this.#nonce;
      if (this.#retained && this.#timer !== null) this.#finish();
    } else if (text === this.#end && this.#timer === null) {
      if (this.#retained) this.#finish();
      else this.#timer = setTimeout(() => this.#finish(), LATE_MS);
    }
  }

  #finish(): void {
    const removed = { topic: this.#topic, payload: '', retain: true };
    this.#connection!.publish(removed, ignore, ignore);
    this.stop();
    this.found({ retained: this.#retained, properties: this.#properties });
  }

  /** Ends the trial: the connection has ended. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#connection = null;
  }
}

/** The abilities of the broker of a running bridge. */
export class KnownAbilities {
  readonly #echo: Echo;
  /** Null before they are known. */
  #known: Abilities | null = null;

  constructor(
    host: string,
    private readonly logger: Logger,
  ) {
    this.#echo = new Echo(host, (found) => this.#found(found));
  }

  /** Whether hosts must publish their states again and again. */
  get isForgetful(): boolean {
    return this.#known?.retained === false;
  }

  /** Tries the broker of a new connection. One that has all is believed to stay so. */
  connected(connection: Connection): void {
    if (this.#known?.retained !== true) this.#echo.start(connection);
  }

  #found(abilities: Abilities): void {
    const before = this.#known;
    this.#known = abilities;
    if (!abilities.retained && before?.retained !== false) this.logger.warn(NOT_RETAINED);
    if (!abilities.properties && before?.properties !== false) this.logger.error(NO_PROPERTIES);
  }

  /** Takes a message of this host to itself. */
  take(message: ArrivedMessage): void {
    this.#echo.take(message);
  }

  /** Notes that the connection has ended. */
  disconnected(): void {
    this.#echo.stop();
  }
}
