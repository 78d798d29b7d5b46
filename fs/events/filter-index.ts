/**
 * Who may take an event, without asking everybody: those with filters, by the values of SUBSYSTEM that their filters can match.
 *
 * With 10,000 queues that filter by subsystem, an event costs only those of its own; see bench/figures/filters.ts.
 */
import type { Event } from './event.js';
import type { Filter } from './filter.js';

/** Something that takes events that match its filter. */
export interface Taker {
  readonly filter: Filter;
}

export class FilterIndex<T extends Taker> {
  /** Those whose filters say nothing of SUBSYSTEM, or that have none. */
  readonly #any = new Set<T>();
  /** The others. */
  readonly #listed = new Set<T>();
  /** The others again, once for each value; '' stands for no SUBSYSTEM at all. */
  readonly #bySubsystem = new Map<string, Set<T>>();

  /** It is offered events from now on. To change its filter, remove it first and add it again. */
  add(taker: T): void {
    const { subsystems } = taker.filter;
    if (subsystems === null) {
      this.#any.add(taker);
      return;
    }
    this.#listed.add(taker);
    for (const subsystem of subsystems) {
      const takers = this.#bySubsystem.get(subsystem);
      if (takers === undefined) this.#bySubsystem.set(subsystem, new Set([taker]));
      else takers.add(taker);
    }
  }

  /** It is offered nothing more. */
  remove(taker: T): void {
    const { subsystems } = taker.filter;
    if (subsystems === null) {
      this.#any.delete(taker);
      return;
    }
    this.#listed.delete(taker);
    for (const subsystem of subsystems) {
      const takers = this.#bySubsystem.get(subsystem);
      takers?.delete(taker);
      if (takers?.size === 0) this.#bySubsystem.delete(subsystem);
    }
  }

  /** Calls `offer` once for each that may take the event; what tells of a loss is for all. */
  offer(event: Event, offer: (taker: T, event: Event) => void): void {
    for (const taker of this.#any) offer(taker, event);
    if (this.#listed.size === 0) return;
    const takers = event.always ? this.#listed : this.#bySubsystem.get(event.property('SUBSYSTEM') ?? '');
    if (takers === undefined) return;
    for (const taker of takers) offer(taker, event);
  }
}
