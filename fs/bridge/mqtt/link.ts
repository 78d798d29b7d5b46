/**
 * Keeps a connection to the broker: connects again after each end, later and later, and never at
 * the same moment as all other hosts.
 */
import type { Logger } from '../../shared/log/logger.js';
import { UserError, isSystemError } from '../../shared/errors.js';
import type { Broker } from './broker.js';
import { Connection, type ConnectionEvents } from './connection.js';
import type { Codec, Will } from './messages.js';

const FIRST_MS = 500;
const MOST_MS = 30_000;
/** The age from which on a connection counts as a success, in ms. */
const SUCCESS_MS = 10_000;

/** Returns how long to wait before the next connection, in ms. @param failures in a row, from 0 */
export function backoffMs(failures: number, random = Math.random()): number {
  const most = Math.min(MOST_MS, FIRST_MS * 2 ** failures);
  // At least half of it: a random number near 0 would be no pause.
  return most / 2 + (random * most) / 2;
}

/** The events of all connections. */
export interface LinkEvents extends Omit<ConnectionEvents, 'closed'> {
  /** Returns the will of the next connection. */
  will(): Will;
  /** Called when a connection has ended, or could not be made. */
  closed(reason: string): void;
}

/** The connection to a broker. */
export class Link {
  /** The present connection; null between two. */
  connection: Connection | null = null;
  /** Whether the broker has accepted the present connection. */
  isOpen = false;
  readonly counted = { connections: 0, failures: 0 };
  #failures = 0;
  #openedMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;
  /** Why the last connection has ended; empty while one is open. */
  lastReason = '';
  /**
   * The pause before the next connection, as {@link leave} sets it, in ms; null for the usual one.
   */
  #pauseMs: number | null = null;
  /** The reason of {@link slowDown}, in place of the connection's own. */
  #slowReason: string | null = null;

  constructor(
    private readonly codec: Codec,
    private readonly broker: Broker,
    private readonly options: { readonly clientId: string; readonly keepAlive: number },
    private readonly events: LinkEvents,
    private readonly logger: Logger,
  ) {}

  /** Connects. */
  start(): void {
    this.#timer = null;
    try {
      this.connection = new Connection(
        this.codec,
        this.broker,
        { ...this.options, will: this.events.will() },
        {
          ...this.#forward(),
          opened: () => this.#opened(),
          closed: (reason) => this.#closed(reason),
        },
      );
    } catch (error) {
      if (!(error instanceof UserError) && !isSystemError(error)) throw error;
      this.#closed(error.message);
    }
  }

  #forward(): Omit<ConnectionEvents, 'opened' | 'closed'> {
    const { events } = this;
    return {
      message: (message) => events.message(message),
      settled: () => events.settled(),
      drained: () => events.drained(),
      beat: () => events.beat(),
    };
  }

  #opened(): void {
    this.isOpen = true;
    this.#openedMs = performance.now();
    this.counted.connections++;
    this.lastReason = '';
    this.logger.info(`connected to ${this.broker.name}`);
    this.events.opened();
  }

  #closed(why: string): void {
    const wasOpen = this.isOpen;
    this.connection = null;
    this.isOpen = false;
    this.events.closed(why);
    const reason = this.#slowReason ?? why;
    this.#slowReason = null;
    if (this.#isClosed) return;
    if (!wasOpen) this.broker.skipAddress();
    if (wasOpen && performance.now() - this.#openedMs >= SUCCESS_MS) this.#failures = 0;
    const ms = this.#pauseMs ?? backoffMs(this.#failures);
    this.#pauseMs = null;
    if (ms > 0) {
      this.#failures++;
      this.counted.failures++;
    }
    if (reason !== this.lastReason)
      this.logger.warn(`${this.broker.name}: ${reason}; the bridge connects again`);
    this.lastReason = reason;
    this.#timer = setTimeout(() => this.start(), ms);
  }

  /** Ends the present connection without its will, and connects again after a pause, in ms. */
  leave(reason: string, pauseMs: number): void {
    this.#pauseMs = pauseMs;
    this.lastReason = reason;
    this.connection?.disconnect(reason);
  }

  /** Connects again now, with the files of the broker's options as they are now. */
  renew(): void {
    if (this.connection !== null) return this.leave('connects again', 0);
    if (this.#timer === null || this.#isClosed) return;
    clearTimeout(this.#timer);
    this.start();
  }

  /**
   * Makes the next pause the longest, because another client would end the connection again. A
   * connection that this process has left is not slowed down. To be called while it ends.
   */
  slowDown(reason: string): void {
    if (this.#pauseMs !== null) return;
    this.#pauseMs = MOST_MS * (1 + Math.random());
    this.#slowReason = reason;
  }

  /** Ends the connection for good. @param hasWill whether the broker publishes the will */
  close(hasWill: boolean): void {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.connection?.disconnect('the bridge stops', hasWill);
  }
}
