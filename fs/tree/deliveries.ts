/** Which process directories an event goes to, and which of them have readers to be answered. */
import type { Event } from '../bus/event.js';
import { FilterIndex, type Subscriber } from '../bus/filter-index.js';
import type { Lifetime } from './nodes/node.js';

/** A directory that events are delivered to. */
export interface Recipient extends Subscriber {
  readonly lifetime: Lifetime;
  /** Whether a reader or a poller waits for its events. */
  readonly isAwaited: boolean;
  deliver(event: Event): void;
  /** A filter that was written and not looked at is looked at now. */
  parseUnparsed(): void;
  /**
   * Answers blocked reads with what has come.
   * @param most how many of them
   * @returns how many
   */
  settle(most: number): number;
}

function deliver(recipient: Recipient, event: Event): void {
  recipient.deliver(event);
}

export class Deliveries {
  /** Which directories may want an event. */
  readonly #index = new FilterIndex<Recipient>();
  /** Directories whose filter was written and not looked at. */
  readonly #unparsed = new Set<Recipient>();
  /** Directories with events that a reader waits for. */
  readonly #unsettled = new Set<Recipient>();

  /** Events go to the directory from now on. To change its filter, withdraw it first and add it again. */
  add(recipient: Recipient): void {
    this.#index.add(recipient);
  }

  /** Events do not go to the directory any more. */
  withdraw(recipient: Recipient): void {
    this.#index.remove(recipient);
  }

  /** The directory has ended. */
  forget(recipient: Recipient): void {
    this.#index.remove(recipient);
    this.#unsettled.delete(recipient);
    this.#unparsed.delete(recipient);
  }

  /** The directory's filter was written. It is looked at before the next event. */
  parseLater(recipient: Recipient): void {
    this.#unparsed.add(recipient);
  }

  /**
   * The directory's filter is about to be looked at, or another one is set.
   * @returns whether one had been written and not looked at
   */
  parsed(recipient: Recipient): boolean {
    return this.#unparsed.delete(recipient);
  }

  /** The directory's readers are answered with the next `settle`. */
  settleLater(recipient: Recipient): void {
    this.#unsettled.add(recipient);
  }

  /** An event has come. */
  take(event: Event): void {
    if (this.#unparsed.size > 0) for (const recipient of this.#unparsed) recipient.parseUnparsed();
    this.#index.offer(event, deliver);
  }

  /**
   * Answers blocked reads of the directories that have got events.
   * @param most how many reads
   * @returns whether more wait
   */
  settle(most: number): boolean {
    let room = most;
    for (const recipient of this.#unsettled) {
      if (room === 0) break;
      this.#unsettled.delete(recipient);
      if (recipient.lifetime.over) continue;
      room -= recipient.settle(room);
      if (room === 0 && recipient.isAwaited) this.#unsettled.add(recipient); // behind the others
    }
    return this.#unsettled.size > 0;
  }
}
