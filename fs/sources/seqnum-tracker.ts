/**
 * Tracks which SEQNUMs a source has seen, and which of the others are lost.
 *
 * The kernel numbers an event before it takes the lock to send it (lib/kobject_uevent.c), so among
 * the events of several processes a later number often comes first. The events that an overrun
 * dropped may be on either side of the last number before it, and of the first number after it. So
 * each skipped number stays open until it comes. When the socket overruns, all open numbers that
 * are not older than `openMs` count as lost. If one of them comes after all, it stays lost, because
 * the loss has been reported.
 */
import { readFileSync } from 'node:fs';
import type { SeqNum } from '../uevent/text.js';

/** A run of numbers that have not come, `to` included. */
interface Skipped {
  readonly from: number;
  readonly to: number;
  /** The time when the first number behind the run came, in ms. */
  readonly sinceMs: number;
  /** Whether the run has been reported as lost. */
  told: boolean;
}

/**
 * The most runs to keep. The numbers of a discarded run were probably never sent to this socket.
 */
const MOST_SKIPPED = 1024;

/** The SEQNUMs of one source. */
export class SeqnumTracker {
  /** The runs in ascending order. */
  readonly #skipped: Skipped[] = [];
  /** The number of open SEQNUMs. They are not losses, but events of other network namespaces. */
  gaps = 0;

  /**
   * @param last the highest number so far
   * @param openMs how long a skipped number stays open, in ms: it may still come, or an overrun may
   *   make it a loss
   */
  constructor(
    public last: SeqNum,
    private readonly openMs: number,
  ) {}

  /**
   * Notes an event that has come.
   *
   * @param seqnum its SEQNUM; NaN if it has none
   * @param nowMs the time in ms; only used if numbers are skipped
   * @returns false if the event has been reported as lost before
   */
  come(seqnum: SeqNum, nowMs: number): boolean {
    if (!(seqnum > this.last)) return this.#fill(seqnum);
    this.skipTo((seqnum - 1) as SeqNum, nowMs);
    this.last = seqnum;
    return true;
  }

  /**
   * Notes that the kernel has assigned all numbers up to `seqnum`.
   *
   * @param nowMs the time in ms
   */
  skipTo(seqnum: SeqNum, nowMs: number): void {
    if (seqnum <= this.last) return;
    this.#skipped.push({ from: this.last + 1, to: seqnum, sinceMs: nowMs, told: false });
    if (this.#skipped.length > MOST_SKIPPED) this.#skipped.shift();
    this.gaps += seqnum - this.last;
    this.last = seqnum;
  }

  /**
   * Marks the open numbers as lost after an overrun, except those older than `openMs`.
   *
   * @param nowMs the time in ms
   * @returns how many are lost that were not reported before
   */
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

  /** Returns the runs of numbers that have not come, as text: `from to told ...`. */
  toText(): string {
    return this.#skipped.map(({ from, to, told }) => `${from} ${to} ${told ? 1 : 0}`).join(' ');
  }

  /**
   * Restores the knowledge of an earlier daemon's tracker.
   * @param text what `toText` has returned
   * @param nowMs the time in ms: from then on the open numbers grow old
   */
  restore(last: SeqNum, gaps: number, text: string, nowMs: number): void {
    this.last = last;
    this.gaps = gaps;
    const numbers = text === '' ? [] : text.split(' ').map(Number);
    for (let i = 0; i < numbers.length; i += 3)
      this.#skipped.push({
        from: numbers[i],
        to: numbers[i + 1],
        sinceMs: nowMs,
        told: numbers[i + 2] === 1,
      });
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

/** Returns the last SEQNUM that the kernel has assigned; 0 without sysfs. */
export function currentSeqnum(): SeqNum {
  try {
    return Number(readFileSync('/sys/kernel/uevent_seqnum', 'latin1')) as SeqNum;
  } catch {
    return 0 as SeqNum; // this container has no sysfs
  }
}
