/**
 * Which of the events that wait may be worked on. As with udev (src/udev/udevd.c, event_is_blocked), a device's event waits for
 * earlier events of the device, of its parents and of its children; all other events may be worked on at the same time.
 */
export interface Job {
  /** The devpaths that it is about, without a / at the end: a `move` has two. */
  readonly devpaths: readonly string[];
}

export class RunOrder<J extends Job> {
  /** In the order in which they came. */
  readonly #waiting = new Set<J>();
  readonly #running = new Set<J>();

  /** @param jobs how many may be worked on at a time */
  constructor(private readonly jobs: number) {}

  get waiting(): number {
    return this.#waiting.size;
  }

  get running(): ReadonlySet<J> {
    return this.#running;
  }

  add(job: J): void {
    this.#waiting.add(job);
  }

  /** The oldest that may begin, which has begun by that; undefined when none may. */
  begin(): J | undefined {
    if (this.#running.size >= this.jobs) return undefined;
    const busy = [...this.#running].flatMap(({ devpaths }) => devpaths);
    for (const job of this.#waiting) {
      if (
        !job.devpaths.some((devpath) =>
          busy.some((other) => isSameOrAbove(devpath, other) || isSameOrAbove(other, devpath)),
        )
      ) {
        this.#waiting.delete(job);
        this.#running.add(job);
        return job;
      }
      busy.push(...job.devpaths);
    }
    return undefined;
  }

  end(job: J): void {
    this.#running.delete(job);
  }

  /** Those that have not begun never will. */
  forgetWaiting(): void {
    this.#waiting.clear();
  }
}

/** Whether `upper` is the device of `lower` or one of its parents. */
function isSameOrAbove(upper: string, lower: string): boolean {
  return lower.startsWith(upper) && (lower.length === upper.length || lower[upper.length] === '/');
}
