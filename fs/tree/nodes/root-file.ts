/** Base class of the files of the root. */
import {
  type AttributeChanges,
  type Attributes,
  FileType,
  MOUNT_USER,
  OwnAttributes,
} from './attributes.js';
import type { Journal } from '../../state/journal.js';
import type { Recorded, Recorder } from '../../state/recorder.js';
import type { Fields } from '../../state/schema.js';
import { type Lifetime, Node, type NodeId } from './node.js';

/** A file of the root whose mode, owner and times the administrator may change. */
export abstract class RootFile extends Node implements Recorded {
  readonly #own: OwnAttributes;
  isMarked = false;
  /** Records the attributes for a later daemon; null if there will be none. */
  recorder: Recorder | null = null;

  /** @param permissions the permission bits of st_mode */
  constructor(id: NodeId, lifetime: Lifetime, permissions: number) {
    super(id, lifetime);
    this.#own = new OwnAttributes(permissions, MOUNT_USER.uid, MOUNT_USER.gid, this.born);
  }

  get mode(): number {
    return FileType.regular | this.#own.permissions;
  }

  /** chmod(2), chown(2) and utimensat(2). A size is accepted and ignored. */
  override change(changes: AttributeChanges): void {
    this.#own.change(changes);
    this.recorder?.changed(this);
  }

  /** Writes the record of the attributes. */
  record(journal: Journal): void {
    journal.put('rootFile', { id: this.id, ...this.#own.fields });
  }

  /** Restores the attributes that the file had in an earlier daemon. */
  restore(state: Fields<'rootFile'>): void {
    this.#own.restore(state);
  }

  attributes(to: Attributes): void {
    to.setFile(this.ino, this.mode, 1);
    this.#own.show(to);
  }
}
