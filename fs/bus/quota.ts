/**
 * Where a queue's events and bytes are charged, where somebody keeps count: tree/quota.ts does, per user. `heap` is what an entry
 * costs beyond what each does, in bytes: its name, and what its event keeps besides the text.
 */
export interface Books {
  /** Charges that much more; false, with nothing charged, where it would be too much. */
  charge(events: number, bytes: number, heap: number): boolean;
  /** Gives back what was charged. */
  refund(events: number, bytes: number, heap: number): void;
  /** Whether that much more would be within the bounds; less than nothing is what will have been given back by then. */
  couldHold(events: number, bytes: number, heap: number): boolean;
  /** What is in no queue any more stays charged as long as somebody has it open. */
  keep(events: number, bytes: number, heap: number): void;
  /** Gives back what was kept. */
  release(events: number, bytes: number, heap: number): void;
  /** Throws, and says why, where that much more would be too much. */
  demand(events: number, bytes: number, heap: number): void;
}
