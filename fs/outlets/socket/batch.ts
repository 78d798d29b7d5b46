/** The messages of one call into the addon, as events of the log and as slices of memory. */
import { SliceWord } from '#native';
import type { Cursor } from '../../bus/readers/cursor.js';
import type { Event } from '../../bus/event.js';
import { MOST_MESSAGES } from '../outlet.js';

/** The next messages to send. One object serves all sends, one after the other. */
export class Batch {
  /** The events of the messages, in order. */
  readonly events = new Array<Event>(MOST_MESSAGES);
  /** The place of each message in memory, see {@link SliceWord}. */
  readonly slices = new Uint32Array(SliceWord.count * MOST_MESSAGES);

  /**
   * Takes the next events off a cursor, at most MOST_MESSAGES.
   *
   * @returns how many
   */
  gather(cursor: Cursor): number {
    let messages = 0;
    for (
      let event: Event | undefined;
      messages < MOST_MESSAGES && (event = cursor.next()) !== undefined;
      messages++
    ) {
      this.events[messages] = event;
      this.slices[SliceWord.count * messages + SliceWord.start] = event.start;
      this.slices[SliceWord.count * messages + SliceWord.length] = event.length;
    }
    return messages;
  }

  /**
   * Makes the batch consist of one message.
   *
   * @param length the message's length in bytes; the message begins at offset 0 of the batch's
   *   memory
   */
  setOne(length: number): void {
    this.slices[SliceWord.start] = 0;
    this.slices[SliceWord.length] = length;
  }
}
