/** The record of a written event for a later daemon. */
import type { Timestamp } from '../../shared/timestamp.js';
import type { Fields } from '../../state/schema.js';
import { timeFields } from '../../state/times.js';

/** A written event that is recorded. */
interface RecordedEvent {
  readonly ino: number;
  readonly name: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** The uid of the user that made it. */
  readonly sourceId: number;
  readonly accessed: Timestamp;
  /** When the text changed last. */
  readonly time: Timestamp;
  /** When the text or an attribute changed last. */
  readonly changed: Timestamp;
  /** The account charged while only open files hold the event. */
  readonly keeper: { readonly uid: number; readonly gid: number } | null;
}

/** Returns the fields of an event's record. Its text has a record of its own. */
export function writtenFields(event: RecordedEvent): Fields<'written'> {
  const { ino, name, mode, uid, gid, sourceId, keeper } = event;
  return {
    ino,
    name,
    mode,
    uid,
    gid,
    madeBy: sourceId,
    ...timeFields('accessed', event.accessed),
    ...timeFields('modified', event.time),
    ...timeFields('changed', event.changed),
    keeperUid: keeper?.uid ?? -1,
    keeperGid: keeper?.gid ?? -1,
  };
}
