/**
 * A service that only stores descriptors: systemd or s6-fdholder. It starts no daemon, so the next
 * one follows the end of this one, and the supervisor learns of a failure by the exit code. A
 * service that fails keeps a daemon from its start, and not from serving or from its end.
 */
import { hasError } from '#native';
import { UserError } from '../shared/errors.js';
import type { Logger } from '../shared/log/logger.js';
import type { StatusLines } from '../shared/status-lines.js';
import { Descriptors } from './descriptors.js';
import type { Holder } from './holder.js';

/** The name of the descriptor of /dev/fuse. */
const DEVICE = 'fuse';
/** A service that takes longer does not answer. It is asked no more: this daemon must end. */
const SLOW_MS = 1000;

/** Both services alike; a subclass talks to its service. */
export abstract class DescriptorStore implements Holder {
  readonly keeps = true;
  readonly resends = false;
  #takesOver: boolean;
  readonly #descriptors = new Descriptors();
  #hasServed = false;
  /** Whether the service has failed, and the log says so. */
  #hasFailed = false;
  #isSilent = false;

  /**
   * @param label the name of the service in `log/.status`
   * @param logger gets what the service refuses while this daemon serves
   * @param stored the descriptors of the last daemon, by name
   */
  constructor(
    private readonly label: string,
    private readonly logger: Logger,
    stored: Iterable<readonly [name: string, fd: number]>,
  ) {
    for (const [name, fd] of stored) this.#descriptors.add(name, fd);
    this.#takesOver = this.#descriptors.has(DEVICE);
  }

  /**
   * Has the service store a descriptor, under a name that it does not have.
   *
   * @throws UserError if the service does not
   */
  protected abstract store(name: string, fd: number): void;

  /**
   * Has the service forget a name.
   *
   * @throws UserError if the service does not
   */
  protected abstract forget(name: string): void;

  /** How many descriptors the service keeps, with the one that it is asked to store. */
  protected get kept(): number {
    return this.#descriptors.count;
  }

  get takesOver(): boolean {
    return this.#takesOver;
  }

  get followsDeath(): boolean {
    return this.#takesOver;
  }

  /**
   * Drops what the last daemon has left if its mount has ended since, by `eventfs umount`: this
   * daemon begins anew.
   */
  dropEnded(): void {
    const device = this.#descriptors.get(DEVICE);
    if (device === undefined || !hasError(device)) return;
    const names = this.#descriptors.closeRest();
    for (const name of names) this.drop(name);
    this.#takesOver = false;
  }

  look(name: string): number | undefined {
    return this.#descriptors.get(name);
  }

  take(name: string): number | undefined {
    return this.#descriptors.take(name);
  }

  /** @throws UserError if the service does not store it, and this daemon does not serve yet */
  keep(name: string, fd: number): void {
    // s6-fdholder refuses a name that it has, and systemd keeps both descriptors.
    this.drop(name);
    this.#descriptors.keep(name);
    const failure = this.#ask(() => this.store(name, fd));
    if (failure !== null && !this.#hasServed) throw failure;
  }

  drop(name: string): void {
    if (this.#descriptors.drop(name)) this.#ask(() => this.forget(name));
  }

  /**
   * Asks the service for something. A failure while this daemon serves is logged.
   *
   * @returns the error; null if the service has done it, or if it does not answer any more
   */
  #ask(order: () => void): UserError | null {
    if (this.#isSilent) return null;
    const began = performance.now();
    try {
      order();
      this.#hasFailed = false;
      return null;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#isSilent = performance.now() - began > SLOW_MS;
      if (!this.#hasServed) return error; // or the first failure of a daemon that serves is silent
      if (!this.#hasFailed)
        this.logger.error(
          `${error.message}; the daemon goes on, but its death may end the mount ` +
            '(later: eventfs umount, and mount again)',
        );
      this.#hasFailed = true;
      return error;
    }
  }

  ready(): Promise<void> {
    for (const name of this.#descriptors.closeRest()) this.drop(name);
    this.#hasServed = true;
    return Promise.resolve();
  }

  nack(): void {
    // The supervisor sees the exit code.
  }

  statusLines(): StatusLines {
    return [['GUARDED', this.label]];
  }

  release(): void {
    for (const name of this.#descriptors.names) this.drop(name);
    this.#descriptors.closeRest();
  }
}
