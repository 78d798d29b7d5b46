/**
 * Finds the subscribers whose filter may match an event, without a test of each filter: by values
 * that an event must have to match.
 *
 * Each rule of a filter is indexed by one of its `KEY==literal` terms, of any key. If 10,000 queues
 * filter by a property, only those with the event's own value cost time; see
 * benchmarks/figures/filters.ts.
 */
import type { Event } from './event.js';
import type { Filter, Way } from '../uevent/filter/filter.js';

/** A receiver of the events that match its filter. */
export interface Subscriber {
  readonly filter: Filter;
}

/** A subscriber's place in the index. */
interface Place<T> {
  readonly subscriber: T;
  /** The serial number of the last event that the index offered to this subscriber. */
  offered: number;
  /** Its buckets: key, value, key, value and so on. */
  readonly found: string[];
}

/** One place or a set: most values have one subscriber, and a set of one doubles the memory. */
type Bucket<T> = Place<T> | Set<Place<T>>;

/** The most values that one subscriber is indexed by. One with more values gets every event. */
const MOST_FOUND = 64;

/**
 * How many events match a value of the key, relative to a property that few devices have. The
 * choice of a term can only use an estimate: future events are not known. So a term of a property
 * wins while its values have few subscribers, and a term that all filters share (HOST==mine) loses
 * to one that differs between them.
 */
const COMMONNESS: Readonly<Record<string, number>> = {
  SOURCE: 2000,
  ACTION: 1000,
  SUBSYSTEM: 10,
  DEVTYPE: 10,
};

/** All subscribers, indexed by their filters. */
export class FilterIndex<T extends Subscriber> {
  /** The subscribers that are offered every event, because no value finds them. */
  readonly #any = new Set<T>();
  /** The other subscribers. */
  readonly #places = new Map<T, Place<T>>();
  /** The places of `#places`, by key and by value. */
  readonly #buckets = new Map<string, Map<string, Bucket<T>>>();
  /** How many events were offered by value: the current event's serial number. */
  #serial = 0;

  /**
   * Offers events to the subscriber from now on. To change its filter, the caller must remove it
   * first and add it again.
   */
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

  /**
   * Returns one way for each rule, the one with the fewest expected events; null if a rule has none
   * or the filter needs too many values.
   */
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

  /**
   * Returns a relative estimate of the offers that a way causes, with those to the subscribers that
   * its values already have.
   */
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

  /** Offers no more events to the subscriber. */
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
    if (buckets === undefined || bucket === undefined) return; // two rules have the same value
    if (bucket instanceof Set) {
      bucket.delete(place);
      if (bucket.size > 0) return;
    } else if (bucket !== place) return;
    buckets.delete(value);
    if (buckets.size === 0) this.#buckets.delete(key);
  }

  /**
   * Calls `offer` once for each subscriber whose filter may match the event. An overflow record is
   * offered to all.
   * @param event the event, which `offer` gets as its second argument
   * @param offer receives each such subscriber; it must still match the filter
   */
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
    if (this.#buckets.has('SOURCE')) this.#offerFound('SOURCE', event.source, event, offer);
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

/** Keys of a filter that are not properties. A property with such a name is never looked up. */
const VIRTUAL = new Set(['ACTION', 'DEVPATH', 'KERNEL', 'SOURCE', 'TAGS']);
