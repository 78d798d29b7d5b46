/** The places in the local events from which a bridge goes on later. */
import type { History } from '../protocol/history.js';
import type { Place } from './saved.js';

/** The source of places. */
interface PlaceSource {
  /**
   * Returns the name of the last event that was added; null if that is not known. The name is
   * right if no event is added meanwhile.
   */
  place(): Promise<string | null>;
}

/** The place that is saved, and the one that follows it. */
export class Places {
  /** The broker has all events up to this place. */
  saved: Place | null = null;
  /** A later place, up to which the broker does not have all events yet. */
  #next: Place | null = null;

  /** Tells whether the saved place is behind all events up to a number. */
  isAt(seq: number): boolean {
    return seq <= (this.saved?.seq ?? 0);
  }

  /** Finds the next place, and saves it once the broker has all events up to it. */
  async look(history: Pick<History, 'next' | 'acknowledged'>, source: PlaceSource): Promise<void> {
    const seq = history.next - 1;
    if (this.#next === null && this.saved?.seq !== seq) {
      const name = await source.place();
      if (name !== null && seq === history.next - 1) this.#next = { name, seq };
    }
    if (this.#next === null || history.acknowledged < this.#next.seq) return;
    this.saved = this.#next;
    this.#next = null;
  }
}
