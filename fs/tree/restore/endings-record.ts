/** The record of how owners have ended. */
import type { Endings } from '../../owners/endings.js';
import type { Journal } from '../../state/journal.js';
import type { Recorded, Recorder } from '../../state/recorder.js';
import { Kind } from '../../state/schema.js';

/** Writes the counts of the dead owners. */
class EndingsRecord implements Recorded {
  isMarked = false;

  constructor(private readonly endings: Endings) {}

  record(journal: Journal): void {
    const { counts, pending } = this.endings;
    journal
      .begin(Kind.endings)
      .number(counts.exited)
      .number(counts.signalled)
      .number(counts.unknown)
      .number(pending)
      .end();
  }
}

/** Has the recorder record each change of the counts. */
export function recordEndings(endings: Endings, recorder: Recorder): void {
  const record = new EndingsRecord(endings);
  recorder.attach(record);
  endings.noteBy(() => recorder.changed(record));
}
