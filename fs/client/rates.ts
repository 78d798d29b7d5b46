/** Rates: the differences between two readings of the status, over the time between them. */
import type { MountStatus } from './sample.js';
import type { StatusKey } from '../shared/status-lines.js';
import type { Subscriber } from './status.js';

/** Events a second; undefined if it is unknown. */
export type Rate = number | undefined;

/** The rates between two moments. */
export class Rates {
  readonly #seconds: number;
  readonly #earlier: ReadonlyMap<string, Subscriber>;
  readonly #isSameDaemon: boolean;

  /**
   * @param before the earlier status; null if there is none yet
   * @param now the later status
   */
  constructor(
    private readonly before: MountStatus | null,
    private readonly now: MountStatus,
  ) {
    this.#seconds = before === null ? 0 : (now.atMs - before.atMs) / 1000;
    this.#isSameDaemon =
      before !== null && before.daemon.get('STARTED') === now.daemon.get('STARTED');
    this.#earlier = new Map(before?.subscribers.map((one) => [one.key, one]));
  }

  /** Returns the rate of one of the daemon's counters. */
  of(key: StatusKey): Rate {
    const [before, now] = [this.before?.daemon.get(key), this.now.daemon.get(key)];
    if (before === undefined || now === undefined || !this.#isSameDaemon) return undefined;
    return this.#rate(Number(before), Number(now));
  }

  /** Returns the rate at which events come for a subscriber. */
  added(subscriber: Subscriber): Rate {
    return this.#ofSubscriber(subscriber, (one) => one.added);
  }

  /** Returns the rate at which a subscriber loses events. */
  lost(subscriber: Subscriber): Rate {
    return this.#ofSubscriber(subscriber, (one) => one.lost);
  }

  #ofSubscriber(subscriber: Subscriber, count: (of: Subscriber) => number): Rate {
    const before = this.#earlier.get(subscriber.key);
    if (before === undefined || !this.#isSameDaemon) return undefined;
    return this.#rate(count(before), count(subscriber));
  }

  /**
   * Computes a rate. A counter that has gone down belongs to another directory of the same name.
   */
  #rate(before: number, now: number): Rate {
    return this.#seconds <= 0 || now < before ? undefined : (now - before) / this.#seconds;
  }
}
