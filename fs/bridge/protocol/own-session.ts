/**
 * This host's session: its name, the connections in it, and the sessions before it.
 *
 * The numbers of sessions and connections are times of the boot: they rise also if the saved ones
 * are old, as on a full disk or after the state directory was restored.
 */
import { type EndedSession, MOST_ENDED } from './state.js';

/** The fields of a session in the state file. */
export interface SavedSession {
  readonly host: string;
  /** The part of the session's name before its number: the boot's id and a random text. */
  readonly boot: string;
  readonly number: number;
  /** The number of the last connection. */
  readonly connection: number;
  /** The number of the last event that the broker has. */
  readonly acknowledged: number;
  /** The number of the next event, as far as this host knew it. */
  readonly next: number;
  readonly ended: readonly EndedSession[];
}

/** The session of this host. */
export class OwnSession {
  connection = 0;
  ended: readonly EndedSession[] = [];
  /** Whether this is the saved session, which may go on: its boot is the present one. */
  isSaved: boolean;
  readonly #boot: string;
  #number = 1;

  /**
   * @param bootId the id of the present boot
   * @param randomId makes a random text
   * @param clockMs returns the time of the boot, in ms: it never goes back
   */
  constructor(
    host: string,
    bootId: string,
    private readonly saved: SavedSession | null,
    randomId: () => string,
    private readonly clockMs: () => number,
  ) {
    if (saved?.host !== host) this.saved = null;
    this.isSaved = this.saved?.boot.startsWith(bootId) === true;
    this.#boot = this.isSaved ? this.saved!.boot : bootId + randomId();
    if (this.saved !== null) this.ended = this.saved.ended;
    if (!this.isSaved) return;
    this.#number = this.saved!.number;
    this.connection = this.saved!.connection;
  }

  /** Begins a session after the saved one. */
  begin(): void {
    const { saved } = this;
    if (saved === null) return;
    const next = Math.max(saved.acknowledged + 1, saved.next);
    const ended = { session: `${saved.boot}-${saved.number}`, next };
    this.ended = [...this.ended, ended].slice(-MOST_ENDED);
    if (this.isSaved) this.#number = this.#after(this.#number);
    this.isSaved = false;
  }

  /** Begins a connection. */
  connect(): void {
    this.connection = this.#after(this.connection);
  }

  /** Returns a number that no process of this boot has used before. */
  #after(number: number): number {
    return Math.max(number + 1, this.clockMs());
  }

  get name(): string {
    return `${this.#boot}-${this.#number}`;
  }

  /** The fields for the state file. */
  get fields(): Pick<SavedSession, 'boot' | 'number' | 'connection' | 'ended'> {
    const { connection, ended } = this;
    return { boot: this.#boot, number: this.#number, connection, ended };
  }
}
