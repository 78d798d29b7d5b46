/** Holds the reading of a connection, so that the broker sends no more. */
import type { Socket } from 'node:net';

/** The longest pause, in ms: answers to pings must be read in time. */
const MOST_MS = 1000;
/** The bytes after which others have their turn. */
const MOST_IN_TURN = 64 * 1024;

/** The bytes after which a turn may have begun. Most turns have fewer, and need no timer. */
const MOST_UNCOUNTED = MOST_IN_TURN / 4;

/** Why nothing is read: a mount is busy, the broker does not read, or others have their turn. */
type Reason = 'mount' | 'broker' | 'turn';

/** The reading of one connection. */
export class Reading {
  readonly #reasons = new Set<Reason>();
  #timer: NodeJS.Timeout | null = null;
  /** At least as many bytes as were read in this turn of the event loop. */
  #inTurn = 0;
  #awaitsTurn = false;

  /** @param keepAliveMs the time in which a ping needs its answer, in ms */
  constructor(
    private readonly socket: Socket,
    private readonly keepAliveMs: number,
  ) {}

  /**
   * Reads nothing until {@link resume}, but for a moment only. A second pause begins after
   * {@link resume}.
   */
  pause(): void {
    if (this.#timer !== null) return;
    this.#stop('mount');
    const ms = Math.min(MOST_MS, this.keepAliveMs / 4);
    this.#timer = setTimeout(() => this.#go('mount'), ms);
  }

  /** Reads again. */
  resume(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#go('mount');
  }

  /** Reads nothing until {@link release}, however long that takes: the broker does not read. */
  hold(): void {
    this.#stop('broker');
  }

  /** Ends {@link hold}. */
  release(): void {
    if (this.#reasons.has('broker')) this.#go('broker');
  }

  /**
   * Lets timers, mounts and other sockets have their turn. Node would read 32 times in a row, which
   * are seconds of small messages; TLS has a read for each record.
   *
   * @param bytes how many have been read
   */
  takeTurns(bytes: number): void {
    this.#inTurn += bytes;
    if (this.#inTurn >= MOST_IN_TURN) this.#stop('turn');
    if (this.#awaitsTurn || this.#inTurn < MOST_UNCOUNTED) return;
    this.#awaitsTurn = true;
    setImmediate(() => this.#beginTurn());
  }

  #beginTurn(): void {
    this.#awaitsTurn = false;
    this.#inTurn = 0;
    if (this.#reasons.has('turn')) this.#go('turn');
  }

  /** Ends the pause of a connection that has ended. */
  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #stop(reason: Reason): void {
    this.#reasons.add(reason);
    this.socket.pause();
  }

  #go(reason: Reason): void {
    this.#reasons.delete(reason);
    if (this.#reasons.size === 0 && !this.socket.destroyed) this.socket.resume();
  }
}
