/** The trace of deaths. */
import type { TraceLine } from '../shared/log/trace.js';
import { type DeadOwner, endingFields, endingText, readEnding } from './endings.js';

/**
 * Writes the line of an owner's death.
 * @param line writes a line of the trace
 * @param owner its pidfd must still be open
 * @param things describes the things that have ended with the owner, as they were before
 */
export function traceDeath(line: TraceLine, owner: DeadOwner, things: string): void {
  const { pid } = owner;
  const ending = readEnding(owner);
  line(`owner ${pid} is dead (${endingText(ending)}): ${things}`, {
    owner: pid,
    ...endingFields(ending),
  });
}
