/** The names of events' files: `SEQNUM`, or `SEQNUM.n` (fs/bus/events/name-index.ts). */
const EVENT_NAME = /^(\d{1,15})(?:\.(\d{1,15}))?$/;

/** Returns whether a text has the form of an event's name. */
export function isEventName(text: string): boolean {
  return EVENT_NAME.test(text);
}

/**
 * Returns the parts of an event's name.
 * @returns the SEQNUM, and the number behind it or NaN; null if the text is no name
 */
export function partsOf(name: string): { readonly seqnum: number; readonly place: number } | null {
  const found = EVENT_NAME.exec(name);
  return found === null ? null : { seqnum: Number(found[1]), place: Number(found[2] ?? NaN) };
}
