/** The daemon's answers to a client. They have the form of an event, but are not in the log. */
import type { Filter } from '../../uevent/filter/filter.js';

/** Returns the answer to a filter, `filter@/eventfs`: only events that match it follow. */
export function filterAnswer(filter: Filter): Uint8Array {
  return answer('filter', 'FILTER', filter.text.replaceAll('\n', '; '));
}

/** Returns the answer to a client that is refused, `error@/eventfs`: nothing follows. */
export function errorAnswer(why: string): Uint8Array {
  return answer('error', 'ERROR', why);
}

function answer(action: string, key: string, value: string): Uint8Array {
  return Buffer.from(
    `${action}@/eventfs\nACTION=${action}\nDEVPATH=/eventfs\nSUBSYSTEM=eventfs\n${key}=${value}\n`,
    'latin1',
  );
}
