/**
 * Chooses which waiting events may start. As in udev (src/udev/udevd.c, event_is_blocked), a
 * device's event waits for earlier events of the device, of its parents and of its children. All
 * other events may run at the same time.
 */

/** An event to run a command for. */
export interface Job {
  /** The devpaths that the event is about, without a `/` at the end; a `move` has two. */
  readonly devpaths: readonly string[];
}

/** The jobs that wait and the jobs that run. */
export class RunOrder<J extends Job> {
  /** In the order of arrival. */
  readonly #waiting = new Set<J>();
  readonly #running = new Set<J>();

  /** @param jobs how many may run at a time */
  constructor(private readonly jobs: number) {}

  /** The number of jobs that wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** The jobs that run. */
  get running(): ReadonlySet<J> {
    return this.#running;
  }

  /** Adds a job behind all others. */
  add(job: J): void {
    this.#waiting.add(job);
  }

  /** Starts the oldest job that may run, and returns it; undefined if none may. */
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

  /** Ends a job that runs: jobs that it blocked may start. */
  end(job: J): void {
    this.#running.delete(job);
  }

  /** Drops all jobs that wait. */
  forgetWaiting(): void {
    this.#waiting.clear();
  }
}

/** Tells whether `upper` is the device `lower` or one of its parents. */
function isSameOrAbove(upper: string, lower: string): boolean {
  return lower.startsWith(upper) && (lower.length === upper.length || lower[upper.length] === '/');
}
