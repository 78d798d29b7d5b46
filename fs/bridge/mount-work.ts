/**
 * The calls to the fleet's mount that wait, in their order: one is made at a time. Events that come
 * during a call share the next write.
 *
 * Losses are no events, and each message of a host may tell of some: a host has at most one between
 * two of its events and changes. So a host that sends no events has a bounded number of them here.
 */
import { lossWithHost } from './protocol/payload.js';

/** The most bytes of memory of one write. */
const MOST_BATCH = 512 * 1024;
/** From here on no more events should come, in bytes. */
const BUSY_BYTES = 4 * 1024 * 1024;
/** From here on events that come are dropped, in bytes. */
const FULL_BYTES = 16 * 1024 * 1024;
/** The bytes of memory that a record or a change uses beside its text. */
const COST = 128;
/** The bytes of memory that a loss of a host with a long name uses. */
const LOSS_COST = 512;

/** The calls. They reject if the mount's daemon has ended. */
interface MountCalls {
  write(records: Buffer[]): Promise<void>;
  appears(host: string): Promise<void>;
  vanishes(host: string): Promise<void>;
}

/** Records for one write. */
interface Batch {
  readonly kind: 'batch';
  readonly records: Set<Buffer | Loss>;
  /** The memory that they use. */
  bytes: number;
}

/** Lost events of a host, as one record. */
interface Loss {
  readonly batch: Batch;
  readonly host: string;
  readonly count: number;
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
  /** The last loss of each host that waits, unless an event or an end of the host follows it. */
  readonly #losses = new Map<string, Loss>();
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

  /** Adds an event of a host to the last batch. It is written after {@link start}. */
  put(host: string, record: Buffer): void {
    this.#losses.delete(host);
    const bytes = record.length + COST;
    const batch = this.#batch();
    batch.records.add(record);
    batch.bytes += bytes;
    this.#charge(bytes);
  }

  /**
   * Adds a loss to the last batch. A loss of the host that waits moves there and becomes a part of
   * it, unless the host has had an event, or a directory that has ended, since then.
   */
  lost(host: string, count: number): void {
    const before = this.#losses.get(host);
    const batch = this.#batch();
    const sum = Math.min(Number.MAX_SAFE_INTEGER, count + (before?.count ?? 0));
    const loss = { batch, host, count: sum };
    batch.records.add(loss);
    batch.bytes += LOSS_COST;
    this.#losses.set(host, loss);
    if (before === undefined) this.#charge(LOSS_COST);
    else this.#takeOut(before);
  }

  #takeOut(loss: Loss): void {
    const { batch } = loss;
    batch.records.delete(loss);
    batch.bytes -= LOSS_COST;
    if (batch.records.size === 0) this.#queue.delete(batch);
  }

  /** Returns the batch that the next record belongs to. */
  #batch(): Batch {
    if (this.#open === null || this.#open.bytes >= MOST_BATCH)
      this.#queue.add((this.#open = { kind: 'batch', records: new Set(), bytes: 0 }));
    return this.#open;
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
    // A directory that ends has its last loss before that. One that begins may get it.
    if (!isThere) this.#losses.delete(host);
    this.#open = null;
    this.#charge(COST);
    this.start();
  }

  /** Adds again the directories that are not made, and that no change waits for. */
  repeat(isMade: (host: string) => boolean): void {
    for (const host of this.#there)
      if (!isMade(host) && !this.#changes.has(host)) this.change(host, true);
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
      await this.calls.write([...work.records].map((record) => this.#textOf(record)));
      return this.#charge(-work.bytes);
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

  /** Returns the text of a record that is written now: a later loss is another record. */
  #textOf(record: Buffer | Loss): Buffer {
    if (Buffer.isBuffer(record)) return record;
    const { host, count } = record;
    if (this.#losses.get(host) === record) this.#losses.delete(host);
    return lossWithHost(count, host);
  }

  /** Makes the calls that wait, and removes all directories. @returns true at the end */
  async finish(): Promise<true> {
    for (const host of [...this.#there]) this.change(host, false);
    this.start();
    await this.#running;
    return true;
  }
}
