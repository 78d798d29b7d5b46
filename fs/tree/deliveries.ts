/**
 * Delivers events to process directories, and keeps the directories whose readers have not been
 * answered yet.
 */
import type { Event } from '../bus/event.js';
import { FilterIndex, type Subscriber } from '../bus/filter-index.js';
import type { Lifetime } from './nodes/node.js';

/** A directory that receives events. */
export interface Recipient extends Subscriber {
  readonly lifetime: Lifetime;
  /** Whether a blocked read or a poller waits for events of this recipient. */
  readonly isAwaited: boolean;
  /** Links the event into the directory's queue if the directory's filter matches it. */
  deliver(event: Event): void;
  /** Parses the filter that was written last, if it has not been parsed yet. */
  parseUnparsed(): void;
  /**
   * Answers blocked reads with the events in the queue.
   * @param most the most reads to answer
   * @returns the number of reads answered
   */
  settle(most: number): number;
}

function deliver(recipient: Recipient, event: Event): void {
  recipient.deliver(event);
}

/** The recipients of events: all process directories. */
export class Deliveries {
  /** Finds the directories whose filter may match an event. */
  readonly #index = new FilterIndex<Recipient>();
  /** Directories whose filter was written and not parsed yet. */
  readonly #unparsed = new Set<Recipient>();
  /** Directories with new events for blocked reads or pollers. */
  readonly #unsettled = new Set<Recipient>();
  /** How many events the directories have lost that have ended. */
  #lostByEnded = 0;
  /** Makes the bus settle soon, without a request. */
  #settleAlone: () => void = () => undefined;

  get lostByEnded(): number {
    return this.#lostByEnded;
  }

  /** Notes the losses of a directory that ends. */
  noteEnd(lost: number): void {
    this.#lostByEnded += lost;
  }

  /**
   * Starts delivery to the directory. To change the directory's filter, the caller withdraws the
   * directory first and adds it again: the index reads the filter only here.
   */
  add(recipient: Recipient): void {
    this.#index.add(recipient);
  }

  /** Stops delivery to the directory. */
  withdraw(recipient: Recipient): void {
    this.#index.remove(recipient);
  }

  /** Removes an ended directory. */
  forget(recipient: Recipient): void {
    this.#index.remove(recipient);
    this.#unsettled.delete(recipient);
    this.#unparsed.delete(recipient);
  }

  /** Notes that the filter which a user has just written is to be parsed before the next event. */
  parseLater(recipient: Recipient): void {
    this.#unparsed.add(recipient);
  }

  /**
   * Cancels `parseLater`: the directory is about to parse its filter, or has set another one.
   * @returns whether a written filter was still unparsed
   */
  parsed(recipient: Recipient): boolean {
    return this.#unparsed.delete(recipient);
  }

  /** Makes the next `settle` answer the directory's readers. */
  settleLater(recipient: Recipient): void {
    this.#unsettled.add(recipient);
  }

  /** @param settleAlone has the bus settle soon, even if no request comes */
  settleAloneBy(settleAlone: () => void): void {
    this.#settleAlone = settleAlone;
  }

  /**
   * Makes the bus settle even if no request comes, should readers wait for it. Called when the end
   * of a directory has completed files: the driver wakes readers only behind requests.
   */
  settleAlone(): void {
    if (this.#unsettled.size > 0) this.#settleAlone();
  }

  /** Offers a new event to each directory whose filter may match it. */
  take(event: Event): void {
    if (this.#unparsed.size > 0) for (const recipient of this.#unparsed) recipient.parseUnparsed();
    this.#index.offer(event, deliver);
  }

  /**
   * Answers blocked reads of the directories with new events.
   * @param most the most reads to answer
   * @returns whether directories remain whose readers are not answered yet
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
