/**
 * Which SEQNUMs a source has seen, and which of the others are lost.
 *
 * The kernel numbers an event before it takes the lock to send it (lib/kobject_uevent.c): of events of several
 * processes the later number often comes first, and what an overrun has swallowed may lie on either side of the last number before it and of
 * the first one after it. So each number that is skipped stays open until it comes. When the socket has overrun, all that are
 * open and not older than `openMs` are lost; one of those that comes after all stays lost, for it has been told.
 */

import type { SeqNum } from '../uevent/text.js';

/** Numbers that have not come, `to` included. */
interface Skipped {
  readonly from: number;
  readonly to: number;
  /** When the first number behind them came. */
  readonly sinceMs: number;
  told: boolean;
}

/** How many runs of numbers are remembered. What is forgotten was never sent to us, in all likelihood. */
const MOST_SKIPPED = 1024;

export class SeqnumTracker {
  /** By number, lowest first. */
  readonly #skipped: Skipped[] = [];
  /** How many numbers are open: no losses, but of other network namespaces. */
  gaps = 0;

  /**
   * @param last the highest number so far
   * @param openMs how long a number that was skipped may still come, or be lost by an overrun
   */
  constructor(
    public last: SeqNum,
    private readonly openMs: number,
  ) {}

  /** An event has come; NaN is one without a number. False when it has been told as lost. */
  come(seqnum: SeqNum, nowMs: number): boolean {
    if (!(seqnum > this.last)) return this.#fill(seqnum);
    this.skipTo((seqnum - 1) as SeqNum, nowMs);
    this.last = seqnum;
    return true;
  }

  /** There have been numbers up to `seqnum`. */
  skipTo(seqnum: SeqNum, nowMs: number): void {
    if (seqnum <= this.last) return;
    this.#skipped.push({ from: this.last + 1, to: seqnum, sinceMs: nowMs, told: false });
    if (this.#skipped.length > MOST_SKIPPED) this.#skipped.shift();
    this.gaps += seqnum - this.last;
    this.last = seqnum;
  }

  /** There was an overrun: how many are lost that have not been told of. */
  tell(nowMs: number): number {
    let count = 0;
    for (const skipped of this.#skipped) {
      if (skipped.told || nowMs - skipped.sinceMs > this.openMs) continue;
      skipped.told = true;
      count += skipped.to - skipped.from + 1;
    }
    this.gaps -= count;
    return count;
  }

  #fill(seqnum: SeqNum): boolean {
    for (let place = this.#skipped.length - 1; place >= 0; place--) {
      const { from, to, sinceMs, told } = this.#skipped[place];
      if (seqnum > to) return true;
      if (seqnum < from) continue;
      if (told) return false;
      const rest = [
        { from, to: seqnum - 1 },
        { from: seqnum + 1, to },
      ].filter((part) => part.from <= part.to);
      this.#skipped.splice(place, 1, ...rest.map((part) => ({ ...part, sinceMs, told })));
      this.gaps--;
      return true;
    }
    return true;
  }
}
