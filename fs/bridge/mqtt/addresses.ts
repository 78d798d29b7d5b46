/**
 * The addresses of a broker's name. A connection tries them one after the other; the next one after
 * a failure begins with another address: one may accept connections and never answer.
 */
import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';

/**
 * How long one of several addresses may take, in ms. Node's own 250 ms are less than a packet takes
 * there and back on a slow network.
 */
export const ADDRESS_MS = 2500;

type Resolve = (
  name: string,
  options: LookupOptions & { all: true },
  done: (error: Error | null, addresses: LookupAddress[]) => void,
) => void;
type Done = (error: Error | null, addresses: readonly LookupAddress[]) => void;

/** The addresses of one name. */
export class Addresses {
  /** Those that wait for the present look-up. */
  readonly #waiting: Done[] = [];
  #turn = 0;

  /** @param resolve looks a name up; getaddrinfo(3) by default */
  constructor(
    private readonly name: string,
    private readonly resolve: Resolve = lookup,
  ) {}

  /** Whether the resolver owes an answer. */
  get isResolving(): boolean {
    return this.#waiting.length > 0;
  }

  /** Lets the next connection begin with another address: the last one has failed. */
  skip(): void {
    this.#turn++;
  }

  /** The look-up of a socket's options. */
  readonly lookup: LookupFunction = (_name, _options, done) => {
    this.#ask((error, addresses) =>
      error === null
        ? done(null, this.#inTurn(addresses))
        : (done as (error: Error) => void)(error),
    );
  };

  /**
   * Looks the name up. One look-up at a time: a resolver that does not answer holds a thread for
   * half a minute, and calls to mounts need threads too.
   */
  #ask(done: Done): void {
    this.#waiting.push(done);
    if (this.#waiting.length > 1) return;
    this.resolve(this.name, { all: true }, (error, addresses) => {
      for (const each of this.#waiting.splice(0)) each(error, addresses);
    });
  }

  #inTurn(addresses: readonly LookupAddress[]): LookupAddress[] {
    const at = this.#turn % addresses.length;
    return [...addresses.slice(at), ...addresses.slice(0, at)];
  }
}
