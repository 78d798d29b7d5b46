/**
 * The calls to the fleet's mount that wait, in their order: one is made at a time. Events that come
 * during a call share the next write.
 */

/** The most bytes of one write. */
const MOST_BATCH = 512 * 1024;
/** From here on no more events should come, in bytes. */
const BUSY_BYTES = 4 * 1024 * 1024;
/** From here on events that come are dropped, in bytes. */
const FULL_BYTES = 16 * 1024 * 1024;
/** The bytes of memory that a record or a change uses beside its text. */
const COST = 128;

/** The calls. They reject if the mount's daemon has ended. */
export interface MountCalls {
  write(records: Buffer[]): Promise<void>;
  appears(host: string): Promise<void>;
  vanishes(host: string): Promise<void>;
}

/** Records for one write. */
interface Batch {
  readonly kind: 'batch';
  readonly records: Buffer[];
  bytes: number;
}

/** A directory that comes or goes. */
interface Change {
  readonly kind: 'change';
  readonly host: string;
  readonly isThere: boolean;
}

/** Another call. */
interface Look {
  readonly kind: 'look';
  readonly look: () => Promise<void>;
}

/** The work on a mount. */
export class MountWork {
  readonly #queue = new Set<Batch | Change | Look>();
  /** The batch at the end of the queue. */
  #open: Batch | null = null;
  /** The last change of each host that waits. */
  readonly #changes = new Map<string, Change>();
  /** The hosts that have a directory once all changes are made. */
  readonly #there = new Set<string>();
  #bytes = 0;
  #wasBusy = false;
  /** Whether events are dropped: until most of the others are written, not by turns. */
  isFull = false;
  #looks = 0;
  #running: Promise<void> | null = null;
  #sinceMs = Infinity;

  /**
   * @param ready called when the queue is short again after it was busy
   * @param failed called with the error of a call: no other call is made
   */
  constructor(
    private readonly calls: MountCalls,
    private readonly ready: () => void,
    private readonly failed: (error: unknown) => void,
  ) {}

  get isBusy(): boolean {
    return this.#bytes >= BUSY_BYTES;
  }

  /** How long the present call takes already, in ms. */
  ageMs(nowMs: number): number {
    return Math.max(0, nowMs - this.#sinceMs);
  }

  /** Adds a record to the last batch. It is written after {@link start}. */
  put(record: Buffer): void {
    if (this.#open === null || this.#open.bytes >= MOST_BATCH)
      this.#queue.add((this.#open = { kind: 'batch', records: [], bytes: 0 }));
    this.#open.records.push(record);
    this.#open.bytes += record.length;
    this.#charge(record.length + COST);
  }

  /**
   * Adds a directory, or removes it. A directory that comes and goes while the daemon does not
   * answer is never made: so a host has at most two changes here.
   */
  change(host: string, isThere: boolean): void {
    const last = this.#changes.get(host);
    if (isThere) this.#there.add(host);
    else if (!this.#there.delete(host)) return;
    if (!isThere && last?.isThere === true) {
      this.#queue.delete(last);
      this.#changes.delete(host);
      return this.#charge(-COST);
    }
    const change: Change = { kind: 'change', host, isThere };
    this.#queue.add(change);
    this.#changes.set(host, change);
    this.#open = null;
    this.#charge(COST);
    this.start();
  }

  /** Adds another call, unless one waits. */
  look(look: () => Promise<void>): void {
    if (this.#looks > 0) return;
    this.#looks++;
    this.#queue.add({ kind: 'look', look });
    this.#open = null;
    this.start();
  }

  #charge(bytes: number): void {
    this.#bytes += bytes;
    this.#wasBusy ||= this.isBusy;
    this.isFull ||= this.#bytes >= FULL_BYTES;
    if (!this.#wasBusy || this.#bytes > BUSY_BYTES / 2) return;
    this.#wasBusy = this.isFull = false;
    this.ready();
  }

  /** Makes the calls, without blocking. */
  start(): void {
    if (this.#queue.size > 0) this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    try {
      for (const work of this.#queue) {
        this.#queue.delete(work);
        if (work === this.#open) this.#open = null;
        this.#sinceMs = performance.now();
        await this.#do(work);
      }
      this.#running = null;
    } catch (error) {
      // `#running` stays: the daemon has ended.
      this.failed(error);
    } finally {
      this.#sinceMs = Infinity;
    }
  }

  async #do(work: Batch | Change | Look): Promise<void> {
    if (work.kind === 'batch') {
      const { records, bytes } = work;
      await this.calls.write(records);
      return this.#charge(-bytes - records.length * COST);
    }
    if (work.kind === 'look') {
      this.#looks--;
      return work.look();
    }
    const { host, isThere } = work;
    if (this.#changes.get(host) === work) this.#changes.delete(host);
    await (isThere ? this.calls.appears(host) : this.calls.vanishes(host));
    this.#charge(-COST);
  }

  /** Makes the calls that wait, and removes all directories. @returns true at the end */
  async finish(): Promise<true> {
    for (const host of [...this.#there]) this.change(host, false);
    this.start();
    await this.#running;
    return true;
  }
}
