/** Which of the events that wait may be worked on: no two of one devpath at a time, and those of one devpath in their order. */
export interface Job {
  /** The devpaths that it is about: a `move` has two. */
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
    const busy = new Set<string>();
    for (const job of this.#running) for (const devpath of job.devpaths) busy.add(devpath);
    for (const job of this.#waiting) {
      if (job.devpaths.every((devpath) => !busy.has(devpath))) {
        this.#waiting.delete(job);
        this.#running.add(job);
        return job;
      }
      for (const devpath of job.devpaths) busy.add(devpath);
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
