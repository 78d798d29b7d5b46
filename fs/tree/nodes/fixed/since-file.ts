/**
 * `.since`: the name of the event after which a process directory begins: a SEQNUM, or SEQNUM.n. A
 * write of an earlier one links the kept events from between the two into the queue, before all
 * others: `echo 1041 > .since`.
 */
import { Errno, FsError } from '../../../shared/errors.js';
import type { Timestamp } from '../../../shared/timestamp.js';
import { isEventName } from '../../../uevent/event-name.js';
import type { AttributeChanges, Handle, HandleType } from '../node.js';
import { DotFile, type DotFileHost, LiveTextHandle } from './text-file.js';

/** A directory whose queue can be made to begin earlier. */
export interface ReplayingDirectory extends DotFileHost {
  /** The name of the event after which the queue begins. */
  readonly beginsAfter: string;
  /** When earlier events were linked in last. */
  readonly replayed: Timestamp;
  /**
   * Links the kept events that came after the event of a name into the queue, before all others.
   */
  replay(name: string): void;
}

/** The file `.since` of a process directory. */
export class SinceFile extends DotFile<ReplayingDirectory> {
  /**
   * Only the directory's user may write it: other users who may put events into the queue must not
   * decide where it begins.
   */
  get permissions(): number {
    return this.directory.mode & 0o644;
  }

  /** The contents: one name and a line end. */
  get text(): string {
    return `${this.directory.beginsAfter}\n`;
  }

  override get size(): number {
    return this.text.length;
  }

  override get modified(): Timestamp {
    return this.directory.replayed;
  }

  override open(): Handle {
    return new SinceHandle(this);
  }

  /** truncate(2), as for the shell's `>`. It changes nothing; only a written number does. */
  override change(changes: AttributeChanges): void {
    if (changes.size === undefined) super.change(changes);
  }
}

/** An open `.since`. */
export class SinceHandle extends LiveTextHandle {
  constructor(override readonly node: SinceFile) {
    super(node);
  }

  override get recordType(): HandleType {
    return 'since';
  }

  /**
   * write(2) of one whole name. The name of a later event than the file shows changes nothing.
   * @returns `length`
   * @throws FsError EINVAL unless the text is one name; ENOENT if no event can have had the name
   */
  override write(bytes: Uint8Array, start: number, length: number): number {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString('latin1');
    const name = text.trim().replace(/^0+(?=\d)/, '');
    if (!isEventName(name))
      throw new FsError(
        Errno.EINVAL,
        "write one event's name to .since: a SEQNUM, or SEQNUM.n, as in 1041 or 1041.7",
      );
    this.node.directory.replay(name);
    return length;
  }
}
