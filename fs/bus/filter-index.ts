/**
 * Who may take an event, without asking everybody: a filter is found by values that an event must have to match it.
 *
 * Each rule of a filter is found by one of its `KEY==literal` terms, of whatever key. With 10,000 queues that filter by a
 * property, an event costs only those of its own value; see benchmarks/figures/filters.ts.
 */
import type { Event } from './event.js';
import type { Filter, Way } from '../uevent/filter/filter.js';

/** Something that takes events that match its filter. */
export interface Subscriber {
  readonly filter: Filter;
}

/** A subscriber's place in the index. */
interface Place<T> {
  readonly subscriber: T;
  /** The event that it was offered last, by the index's count. */
  offered: number;
  /** Where it is found: keys and values in turns. */
  readonly found: string[];
}

/** Most values have one subscriber, and a set of one is twice as large as all else. */
type Bucket<T> = Place<T> | Set<Place<T>>;

/** How many values are looked at to find one subscriber. One that needs more is offered everything. */
const MOST_FOUND = 64;

/**
 * How many events a value stands for, against one of a property that few devices have. Only an estimate can choose the term:
 * what will come is not known. So a term of a property wins while its values have few subscribers, and one that all filters
 * share (HOST==mine) loses to one that tells them apart.
 */
const COMMONNESS: Readonly<Record<string, number>> = { ACTION: 1000, SUBSYSTEM: 10, DEVTYPE: 10 };

export class FilterIndex<T extends Subscriber> {
  /** Those that an event's values do not find. */
  readonly #any = new Set<T>();
  /** The others. */
  readonly #places = new Map<T, Place<T>>();
  /** The others again, by the values that they are found by. */
  readonly #buckets = new Map<string, Map<string, Bucket<T>>>();
  /** Counts the events that were offered. */
  #serial = 0;

  /** It is offered events from now on. To change its filter, remove it first and add it again. */
  add(subscriber: T): void {
    const ways = subscriber.filter.all ? null : this.#choose(subscriber.filter);
    if (ways === null) {
      this.#any.add(subscriber);
      return;
    }
    const place: Place<T> = { subscriber, offered: 0, found: [] };
    this.#places.set(subscriber, place);
    for (const { key, values } of ways) {
      for (const value of values) {
        place.found.push(key, value);
        this.#put(key, value, place);
      }
    }
  }

  /** One way for each rule: the one that seems to find it least often. Null where a rule has none. */
  #choose(filter: Filter): Way[] | null {
    const chosen: Way[] = [];
    let values = 0;
    for (const ways of filter.ways()) {
      let best: Way | null = null;
      let lowest = Infinity;
      for (const way of ways) {
        const expected = this.#expected(way);
        if (expected >= lowest) continue;
        lowest = expected;
        best = way;
      }
      if (best === null) return null;
      chosen.push(best);
      values += best.values.length;
      if (values > MOST_FOUND) return null;
    }
    return chosen;
  }

  /** How often events will be offered for a way, with all subscribers that it has already: more is more. */
  #expected({ key, values }: Way): number {
    const buckets = this.#buckets.get(key);
    let subscribers = values.length;
    for (const value of values) {
      const bucket = buckets?.get(value);
      if (bucket !== undefined) subscribers += bucket instanceof Set ? bucket.size : 1;
    }
    return subscribers * (Object.hasOwn(COMMONNESS, key) ? COMMONNESS[key] : 1);
  }

  #put(key: string, value: string, place: Place<T>): void {
    let buckets = this.#buckets.get(key);
    if (buckets === undefined) this.#buckets.set(key, (buckets = new Map<string, Bucket<T>>()));
    const bucket = buckets.get(value);
    if (bucket === undefined) buckets.set(value, place);
    else if (bucket instanceof Set) bucket.add(place);
    else if (bucket !== place) buckets.set(value, new Set([bucket, place]));
  }

  /** It is offered nothing more. */
  remove(subscriber: T): void {
    this.#any.delete(subscriber);
    const place = this.#places.get(subscriber);
    if (place === undefined) return;
    this.#places.delete(subscriber);
    const { found } = place;
    for (let i = 0; i < found.length; i += 2) this.#take(found[i], found[i + 1], place);
  }

  #take(key: string, value: string, place: Place<T>): void {
    const buckets = this.#buckets.get(key);
    const bucket = buckets?.get(value);
    if (buckets === undefined || bucket === undefined) return; // two rules were found by the same value
    if (bucket instanceof Set) {
      bucket.delete(place);
      if (bucket.size > 0) return;
    } else if (bucket !== place) return;
    buckets.delete(value);
    if (buckets.size === 0) this.#buckets.delete(key);
  }

  /** Calls `offer` once for each that may take the event; what tells of a loss is for all. */
  offer(event: Event, offer: (subscriber: T, event: Event) => void): void {
    for (const subscriber of this.#any) offer(subscriber, event);
    if (this.#places.size === 0) return;
    if (event.always) {
      for (const { subscriber } of this.#places.values()) offer(subscriber, event);
      return;
    }
    this.#serial++;
    this.#offerFound('ACTION', event.action, event, offer);
    this.#offerFound('DEVPATH', event.devpath, event, offer);
    if (this.#buckets.has('KERNEL')) this.#offerFound('KERNEL', event.kernel, event, offer);
    if (this.#buckets.has('TAGS'))
      for (const tag of event.tags) this.#offerFound('TAGS', tag, event, offer);
    for (const [key, value] of event.properties)
      if (!VIRTUAL.has(key)) this.#offerFound(key, value, event, offer);
  }

  #offerFound(
    key: string,
    value: string,
    event: Event,
    offer: (subscriber: T, event: Event) => void,
  ): void {
    const bucket = this.#buckets.get(key)?.get(value);
    if (bucket === undefined) return;
    if (!(bucket instanceof Set)) return this.#offerOnce(bucket, event, offer);
    for (const place of bucket) this.#offerOnce(place, event, offer);
  }

  #offerOnce(place: Place<T>, event: Event, offer: (subscriber: T, event: Event) => void): void {
    if (place.offered === this.#serial) return;
    place.offered = this.#serial;
    offer(place.subscriber, event);
  }
}

/** Keys of a filter that are no properties, whatever property is called so. */
const VIRTUAL = new Set(['ACTION', 'DEVPATH', 'KERNEL', 'TAGS']);
