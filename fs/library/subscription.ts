/** The async iterator of {@link subscribe}: takes batches from a source when its reader waits. */
import { type EventText, tellsOfLoss } from '../client/events/text.js';
import type { Filter as ParsedFilter } from '../uevent/filter/filter.js';
import { onAbort } from './abort.js';
import { type EventOrLoss, eventOrLoss } from './event.js';

/** The place that events come from: a stream of a mount, or a netlink socket. */
export interface EventBatches {
  /**
   * Opens the source. Later events are in the batches, earlier ones need not be.
   *
   * @returns the filter that the caller applies; null if the source applies it
   */
  open(): Promise<ParsedFilter | null>;
  /** Resolves to the next events, in order. The source reads no more until the next call. */
  take(): Promise<Iterable<EventText>>;
  /** Closes the source. Resolves once nothing of it is open. */
  close(): Promise<void>;
}

/** The events of {@link subscribe}, for one `for await` loop. */
export interface Subscription extends AsyncIterableIterator<EventOrLoss, undefined> {
  /**
   * Resolves once the subscription is open: every later event is in it. Rejects with the reason if
   * it could not be opened, and then the iterator does too. Resolves as well if `return` was called
   * before that.
   */
  readonly ready: Promise<void>;
  /**
   * Waits for the next event or loss.
   *
   * @throws EventfsError `DAEMON_ENDED` after the last event; the signal's reason after its abort
   */
  next(): Promise<IteratorResult<EventOrLoss, undefined>>;
  /** Ends the subscription; a loop does so when it is left. A pending `next` returns `done`. */
  return(): Promise<IteratorResult<EventOrLoss, undefined>>;
  /** Ends the subscription, at the end of a block with `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

type Result = IteratorResult<EventOrLoss, undefined>;

/** A reader that waits. */
interface Waiter {
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

const DONE: Result = Object.freeze({ done: true, value: undefined });

/** A {@link Subscription} to a source. Reads a batch only if a reader waits and none is left. */
export class BatchSubscription implements Subscription {
  readonly ready: Promise<void>;
  readonly #waiters: Waiter[] = [];
  #batch: Iterator<EventText> | null = null;
  #filter: ParsedFilter | null = null;
  #isTaking = false;
  #isEnded = false;
  /** The error that the next reader gets. */
  #failure: { readonly error: unknown } | null = null;
  #closed: Promise<void> | null = null;
  readonly #forgetSignal: () => void;

  constructor(
    private readonly source: EventBatches,
    private readonly signal?: AbortSignal,
  ) {
    this.ready = this.#open();
    this.ready.catch((error: unknown) => this.#end({ error }));
    const abort = (): void => this.#end({ error: signal?.reason as unknown });
    this.#forgetSignal = onAbort(signal, abort);
    if (signal?.aborted === true) abort();
  }

  async #open(): Promise<void> {
    this.signal?.throwIfAborted();
    try {
      this.#filter = await this.source.open();
    } catch (error) {
      // The end of the subscription closes the source, so that the calls of `open` fail.
      if (!this.#isEnded) throw error;
    }
    if (this.#isEnded) this.signal?.throwIfAborted();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Result> {
    if (this.#isEnded) {
      const failure = this.#failure;
      this.#failure = null;
      if (failure === null) return Promise.resolve(DONE);
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- a signal's reason
      return Promise.reject(failure.error);
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#feed();
    });
  }

  async return(): Promise<Result> {
    this.#end(null);
    await this.#closed;
    return DONE;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** Hands events to the readers that wait, and takes the next batch if they want more. */
  #feed(): void {
    while (this.#waiters.length > 0) {
      const next = this.#nextOfBatch();
      if (next === null) return this.#take();
      this.#waiters.shift()!.resolve({ done: false, value: next });
    }
  }

  #nextOfBatch(): EventOrLoss | null {
    if (this.#batch === null) return null;
    for (let next = this.#batch.next(); next.done !== true; next = this.#batch.next()) {
      const record = next.value;
      if (this.#filter === null || tellsOfLoss(record) || this.#filter.matches(record))
        return eventOrLoss(record);
    }
    this.#batch = null;
    return null;
  }

  #take(): void {
    if (this.#isTaking) return;
    this.#isTaking = true;
    this.ready
      .then(() => this.source.take())
      .then(
        (batch) => {
          this.#isTaking = false;
          this.#batch = batch[Symbol.iterator]();
          this.#feed();
        },
        (error: unknown) => this.#end({ error }),
      );
  }

  /** Ends all readers: the first of them gets the error, or the next one if none waits. */
  #end(failure: { readonly error: unknown } | null): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#batch = null;
    this.#forgetSignal();
    this.#closed = this.source.close();
    const first = failure === null ? undefined : this.#waiters.shift();
    if (first === undefined) this.#failure = failure;
    else first.reject(failure!.error);
    for (const { resolve } of this.#waiters.splice(0)) resolve(DONE);
  }
}
