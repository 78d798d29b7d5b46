/**
 * A service that only stores descriptors: systemd or s6-fdholder. It starts no daemon, so the next
 * one follows the end of this one, and the supervisor learns of a failure by the exit code.
 */
import type { StatusLines } from '../shared/status-lines.js';
import { Descriptors } from './descriptors.js';
import type { Holder } from './holder.js';

/** Both services alike; a subclass talks to its service. */
export abstract class DescriptorStore implements Holder {
  readonly keeps = true;
  readonly resends = false;
  readonly takesOver: boolean;
  readonly #descriptors = new Descriptors();

  /**
   * @param label the name of the service in `log/.status`
   * @param stored the descriptors of the last daemon, by name
   */
  constructor(
    private readonly label: string,
    stored: Iterable<readonly [name: string, fd: number]>,
  ) {
    for (const [name, fd] of stored) this.#descriptors.add(name, fd);
    this.takesOver = this.#descriptors.has('fuse');
  }

  /** Has the service store a descriptor, under a name that it does not have. */
  protected abstract store(name: string, fd: number): void;

  /** Has the service forget a name. */
  protected abstract forget(name: string): void;

  get followsDeath(): boolean {
    return this.takesOver;
  }

  look(name: string): number | undefined {
    return this.#descriptors.get(name);
  }

  take(name: string): number | undefined {
    return this.#descriptors.take(name);
  }

  keep(name: string, fd: number): void {
    // s6-fdholder refuses a name that it has, and systemd keeps both descriptors.
    this.drop(name);
    this.#descriptors.keep(name);
    this.store(name, fd);
  }

  drop(name: string): void {
    if (this.#descriptors.drop(name)) this.forget(name);
  }

  ready(): Promise<void> {
    for (const name of this.#descriptors.closeRest()) this.drop(name);
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
