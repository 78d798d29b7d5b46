/** The trace of deaths. */
import type { TraceLine } from '../shared/log/trace.js';
import { endingFields, endingText, readEnding } from './endings.js';
import type { Owner } from './owner.js';

/**
 * Writes the line of an owner's death.
 * @param line writes a line of the trace
 * @param owner its pidfd must still be open, and its things must not be removed yet
 */
export function traceDeath(line: TraceLine, owner: Owner): void {
  const { pid } = owner;
  const ending = readEnding(owner);
  const things = [...owner.owned].map((thing) => thing.describe()).join('; ');
  line(`owner ${pid} is dead (${endingText(ending)}): ${things}`, {
    owner: pid,
    ...endingFields(ending),
  });
}
