/**
 * The rules of readers: order, no repeats, delivered + LOST = published, no reader waits in vain.
 */
import { constants } from 'node:os';
import type { Findings } from './findings.js';
import type { Call, History } from './lines.js';
import { Numbers, type Published } from './published.js';

const { EAGAIN, EINTR } = constants.errno;

/** A queue: the events of one open file, or of one directory that several readers share. */
class Queue {
  readonly seen = new Map<number, Numbers>();
  readonly readers: History[] = [];
  delivered = 0;
  lost = 0;
  others = 0;
  /** Delivered events whose publisher's call failed. */
  uncertain = 0;
  drained = 0;

  constructor(
    readonly name: string,
    /** The publishers that the filter takes, as `0|2`; `*` takes all. */
    readonly ids: string,
    /** The first reader's subscription. */
    readonly subscribed: Call,
  ) {}

  takes(id: number): boolean {
    return this.ids === '*' || this.ids.split('|').includes(String(id));
  }
}

/** The state of one reader. */
interface Place {
  readonly history: History;
  queue: Queue | null;
  /** The last number of each publisher, and the index of its call. */
  readonly last: Map<number, { n: number; call: number }>;
  /** The latest beginning of a call whose event was delivered. */
  latestStart: number;
  missing: number;
  /** Since when the reader waits, in nanoseconds. */
  since: number;
}

/** Checks the readers, one history after the other, and the queues at the end. */
export class Queues {
  readonly #queues = new Map<string, Queue>();

  /** @param bound the longest wait of a reader for an event that is there, in nanoseconds */
  constructor(
    private readonly published: ReadonlyMap<number, Published>,
    private readonly findings: Findings,
    private readonly bound: number,
  ) {}

  /** Notes the subscription of a reader, before all reads are checked. */
  subscribe(history: History, call: Call): void {
    const [name, , ids] = call.words;
    const queue = this.#queues.get(name) ?? new Queue(name, ids, call);
    queue.readers.push(history);
    this.#queues.set(name, queue);
  }

  /** Checks the calls of one reader. */
  check(history: History): void {
    const place: Place = {
      history,
      queue: null,
      last: new Map(),
      latestStart: 0,
      missing: 0,
      since: 0,
    };
    for (const call of history.calls) this.#checkCall(place, call);
  }

  #checkCall(place: Place, call: Call): void {
    const { findings } = this;
    findings.figures.calls++;
    place.queue = this.#queues.get(call.words[0]) ?? null;
    const { queue, history } = place;
    if (queue === null)
      return findings.add('failed', history, call, 'the reader has not subscribed');
    if (call.operation === 'subscribe') {
      findings.timed(history, call, this.bound);
      if (call.result < 0) findings.add('failed', history, call, 'the reader could not subscribe');
      return;
    }
    if (call.operation === 'drain' && call.result === -EAGAIN) queue.drained++;
    else if (call.operation === 'read' && call.result > 0) this.#delivered(place, queue, call);
    else if (call.result !== -EINTR)
      findings.add('failed', history, call, 'the call of a reader failed');
    if (place.since === 0) place.since = call.start;
    if (call.result > 0) place.since = 0;
  }

  /** Checks the items of one read. */
  #delivered(place: Place, queue: Queue, call: Call): void {
    const since = place.since === 0 ? call.start : place.since;
    let isFirst = true;
    for (const item of call.words.slice(2)) {
      const [, kind, from, to] = /^(\w+):(\d+)(?:-(\d+))?$/.exec(item) ?? [];
      if (kind === undefined) throw new Error(`${place.history.client}:${call.line}: '${item}'`);
      if (kind === 'L') {
        queue.lost += Number(from);
        continue;
      }
      if (kind === 'X') {
        queue.others += Number(from);
        continue;
      }
      const id = Number(kind);
      const publisher = this.published.get(id);
      for (let n = Number(from); n <= Number(to ?? from); n++) {
        const at = this.#event(place, queue, call, id, publisher, n);
        if (isFirst && at >= 0) {
          const wait = call.end - Math.max(since, publisher!.endOf(at));
          if (wait > this.findings.figures.longestWait) this.findings.figures.longestWait = wait;
          if (wait > this.bound)
            this.findings.add('late', place.history, call, `${id}:${n} came ${wait / 1e6} ms late`);
        }
        isFirst = false;
      }
    }
  }

  /** Checks one delivered event. @returns the index of its publisher's call, or -1 */
  #event(
    place: Place,
    queue: Queue,
    call: Call,
    id: number,
    publisher: Published | undefined,
    n: number,
  ): number {
    const { findings } = this;
    const found = (rule: 'order' | 'repeat' | 'sum', why: string): void =>
      findings.add(rule, place.history, call, `${id}:${n} ${why}`);
    queue.delivered++;
    const last = place.last.get(id) ?? { n: -1, call: 0 };
    const at = publisher?.find(n, last.call) ?? -1;
    if (at < 0) {
      found('sum', 'was never published');
      return -1;
    }
    if (publisher!.isUncertain(at)) queue.uncertain++;
    if (!queue.takes(id)) found('sum', 'does not match the filter');
    if (publisher!.startOf(at) > call.end) found('order', 'came before it was published');
    const seen = queue.seen.get(id) ?? new Numbers();
    queue.seen.set(id, seen);
    if (seen.add(n)) found('repeat', 'came before');
    else if (n < last.n) found('order', `came after ${id}:${last.n}`);
    if (publisher!.isOrdered) {
      if (publisher!.endOf(at) < place.latestStart)
        found('order', 'was published before an event that came earlier');
      place.latestStart = Math.max(place.latestStart, publisher!.startOf(at));
    }
    if (n > last.n) this.#gap(place, queue, publisher!, last.n, n, found);
    place.last.set(id, { n: Math.max(n, last.n), call: at });
    return at;
  }

  /** A single reader must have found a record of the loss before the event that follows it. */
  #gap(
    place: Place,
    queue: Queue,
    publisher: Published,
    last: number,
    n: number,
    found: (rule: 'sum', why: string) => void,
  ): void {
    if (queue.readers.length > 1 || publisher.uncertain > 0 || n === last + 1) return;
    const first = Math.max(last + 1, publisher.firstSince(queue.subscribed.end));
    if (n <= first) return;
    place.missing += n - first;
    if (place.missing > queue.lost)
      found('sum', `came, and ${place.missing} before it are missing, with LOST=${queue.lost}`);
  }

  /** Checks the sums of all queues. */
  finish(): void {
    for (const queue of this.#queues.values()) this.#sum(queue);
  }

  #sum(queue: Queue): void {
    const { figures } = this.findings;
    figures.delivered += queue.delivered;
    figures.lost += queue.lost;
    const [reader] = queue.readers;
    if (queue.drained < queue.readers.length)
      return this.findings.add('sum', reader, null, `${queue.name} was not read to its end`);
    let least = queue.uncertain;
    let most = 0;
    for (const [id, publisher] of this.published) {
      if (!queue.takes(id)) continue;
      const since = publisher.firstSince(queue.subscribed.end);
      least += publisher.total - since - publisher.uncertain;
      most += publisher.total - publisher.firstEndingSince(queue.subscribed.start);
    }
    // A loss of an unfiltered stream may contain events of other programs.
    if (queue.others > 0 && queue.lost > 0) most += queue.lost;
    const sum = queue.delivered + queue.lost;
    if (sum < least || sum > most)
      this.findings.add(
        'sum',
        reader,
        null,
        `${queue.name}: ${queue.delivered} delivered and ${queue.lost} lost are ${sum}, not ${least}${most === least ? '' : ` to ${most}`}`,
      );
  }
}
