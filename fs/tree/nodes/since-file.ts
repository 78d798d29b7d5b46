/**
 * `.since`: the kernel's event after which a process directory begins. Writing an earlier one links what is kept of the
 * events in between into the queue, before all others: `echo 1041 > .since`.
 */
import { Errno, FsError } from '../../shared/errors.js';
import type { Timestamp } from '../../bus/event.js';
import type { SeqNum } from '../../uevent/text.js';
import type { AttributeChanges, Handle } from './node.js';
import { DotFile, type DotFileHost, LiveTextHandle } from './text-file.js';

const SEQNUM = /^\s*(\d{1,15})\s*$/;

/** A directory whose queue can begin earlier. */
export interface ReplayingDirectory extends DotFileHost {
  /** The kernel's last SEQNUM before its first event. */
  readonly beginsAfter: SeqNum;
  /** When events of before were brought in last. */
  readonly replayed: Timestamp;
  /** Links what is kept of the events after that SEQNUM into the queue, before all others. */
  replay(seqnum: SeqNum): void;
}

export class SinceFile extends DotFile<ReplayingDirectory> {
  /** Only the directory's user decides what its queue begins with, whoever else may put events into it. */
  get permissions(): number {
    return this.directory.mode & 0o644;
  }

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

  /** truncate(2), as `>` asks for: nothing happens before a number is written. */
  override change(changes: AttributeChanges): void {
    if (changes.size === undefined) super.change(changes);
  }
}

class SinceHandle extends LiveTextHandle {
  constructor(override readonly node: SinceFile) {
    super(node);
  }

  /** write(2): a SEQNUM in one go. One that is later than what the file shows changes nothing. EINVAL when it is none. */
  override write(bytes: Uint8Array, start: number, length: number): number {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString('latin1');
    const found = SEQNUM.exec(text);
    if (found === null) throw new FsError(Errno.EINVAL, 'write one SEQNUM, as in 1041');
    this.node.directory.replay(Number(found[1]) as SeqNum);
    return length;
  }
}
