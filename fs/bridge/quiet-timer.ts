/** Does work when no event has come for a moment, or now and then while events come. */

/** The time without events after which the work is done, in ms. */
const QUIET_MS = 2000;
/** The longest time between two works while events come, in ms. */
const BUSY_MS = 10_000;

/** The timer. It runs only after events. */
export class QuietTimer {
  #timer: NodeJS.Timeout | null = null;
  #changedMs = 0;
  #workedMs = 0;
  #isStopped = false;

  constructor(private readonly work: () => void) {}

  /** Notes that events have come. */
  changed(): void {
    this.#changedMs = performance.now();
    this.expect();
  }

  /** Expects work without an event. */
  expect(): void {
    if (this.#timer !== null || this.#isStopped) return;
    this.#workedMs = performance.now();
    this.#timer = setTimeout(() => this.#look(), QUIET_MS);
  }

  #look(): void {
    const now = performance.now();
    const isQuiet = now - this.#changedMs >= QUIET_MS - 1;
    if (isQuiet || now - this.#workedMs >= BUSY_MS) {
      this.work();
      this.#workedMs = now;
    }
    this.#timer = isQuiet ? null : setTimeout(() => this.#look(), QUIET_MS);
  }

  /** Ends the timer. */
  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}
