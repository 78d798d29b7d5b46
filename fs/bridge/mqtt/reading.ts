/** Holds the reading of a connection, so that the broker sends no more. */
import type { Socket } from 'node:net';

/** The longest pause, in ms: answers to pings must be read in time. */
const MOST_MS = 1000;

/** The reading of one connection. */
export class Reading {
  #timer: NodeJS.Timeout | null = null;

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
    this.socket.pause();
    this.#timer = setTimeout(() => this.socket.resume(), Math.min(MOST_MS, this.keepAliveMs / 4));
  }

  /** Reads again. */
  resume(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.socket.resume();
  }

  /** Ends the pause of a connection that has ended. */
  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}
