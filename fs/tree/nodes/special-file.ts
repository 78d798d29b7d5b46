/**
 * The files of a process directory that are not events: FIFOs, sockets and symlinks. The kernel
 * does all the work on them. The daemon keeps their names and attributes, and the target of a
 * symlink, which it never follows.
 */
import { Errno, FsError } from '../../shared/errors.js';
import {
  type AttributeChanges,
  type Attributes,
  FileType,
  OwnAttributes,
  type RecordedAttributes,
  PERMISSION_BITS,
  TYPE_MASK,
} from './attributes.js';
import type { UnlinkedFiles } from './fixed/unlinked-files.js';
import { type Handle, type Lifetime, Node, type NodeId } from './node.js';
import { specialHeap } from '../prices.js';
import type { Timestamp } from '../../shared/timestamp.js';
import type { Journal } from '../../state/journal.js';
import type { Recorded, Recorder } from '../../state/recorder.js';
import { Kind } from '../../state/schema.js';
import { timeFields } from '../../state/times.js';

/** A FIFO or socket, and the base class of a symlink. */
export class SpecialFile extends Node implements Recorded {
  readonly #type: number;
  readonly #own: OwnAttributes;
  #links = 1;
  isMarked = false;
  #recorder: Recorder | null = null;
  #directory = 0;
  #position = 0;
  /** Those of its directory, once it is unlinked. */
  #unlinkedFiles: UnlinkedFiles | null = null;

  /**
   * @param mode type (S_IFIFO, S_IFSOCK or S_IFLNK) and permissions
   * @param uid the user that owns the file
   * @param gid the group that owns the file
   */
  constructor(
    id: NodeId,
    lifetime: Lifetime,
    public name: string,
    mode: number,
    uid: number,
    gid: number,
    born?: Timestamp,
  ) {
    super(id, lifetime, born);
    this.#type = mode & TYPE_MASK;
    this.#own = new OwnAttributes(mode & PERMISSION_BITS, uid, gid, this.born);
  }

  get mode(): number {
    return this.#type | this.#own.permissions;
  }

  /** The memory that the file is charged besides the price of an entry, in bytes. */
  get heap(): number {
    return this.heapAs(this.name);
  }

  /**
   * Returns `heap` as it would be under another name, in bytes.
   * @param name bytes as characters
   */
  heapAs(name: string): number {
    return specialHeap(name);
  }

  /** st_size. */
  get size(): number {
    return 0;
  }

  /**
   * rename(2): moves the file to another name, in the same directory or another.
   * @param lifetime the lifetime of its new directory
   */
  moveTo(name: string, lifetime: Lifetime): void {
    this.name = name;
    this.lifetime = lifetime;
    this.#own.nameChanged();
    this.#recorder?.changed(this);
  }

  /**
   * Runs after a directory has taken the file in.
   * @param recorder records the file for a later daemon; null if there will be none
   * @param directory the node id of the directory
   */
  joined(recorder: Recorder | null, directory: number, position: number): void {
    this.#recorder = recorder;
    this.#directory = directory;
    this.#position = position;
    recorder?.changed(this);
  }

  /** Runs after the file has left its directory. */
  left(): void {
    this.#recorder?.dropped(Kind.special, this.id);
    this.#recorder = null;
  }

  /** Writes the record of the file for a later daemon. */
  record(journal: Journal): void {
    if (this.#recorder === null) return; // it has left its directory since it was marked
    journal.put('special', {
      id: this.id,
      directory: this.#directory,
      position: this.#position,
      name: this.name,
      target: this.target,
      ...timeFields('born', this.born),
      ...this.#own.fields,
      mode: this.mode,
    });
  }

  /** Restores the attributes that the file had in an earlier daemon. */
  restore(fields: RecordedAttributes): void {
    this.#own.restore(fields);
  }

  /** The target of a symlink; else empty. */
  protected get target(): string {
    return '';
  }

  /**
   * Runs when the file has lost its name. The account is not charged any more, and only earlier
   * descriptors reach the file.
   * @param others the unlinked files of its directory
   */
  unlinked(others: UnlinkedFiles): void {
    this.#links = 0;
    this.#own.nameChanged();
    this.#unlinkedFiles = others;
    others.add(this);
  }

  override forgotten(): void {
    this.#unlinkedFiles?.forgotten(this);
  }

  attributes(to: Attributes): void {
    to.setFile(this.ino, this.mode, this.#links, this.size);
    this.#own.show(to);
  }

  /** chmod(2), chown(2), utimensat(2). */
  override change(changes: AttributeChanges): void {
    this.#own.change(changes);
    this.#recorder?.changed(this);
  }

  /**
   * The kernel opens FIFOs by itself and sockets not at all, so it never asks the daemon.
   * @throws FsError ENXIO
   */
  override open(): Handle {
    throw new FsError(Errno.ENXIO, 'only the kernel opens a FIFO or socket; the daemon cannot');
  }
}

/** A symlink that a user made. The daemon keeps the target unchanged. */
export class SymlinkFile extends SpecialFile {
  readonly #size: number;
  #target: string;

  /**
   * @param target bytes as characters
   * @param uid the user that owns the symlink
   * @param gid the group that owns the symlink
   */
  constructor(
    id: NodeId,
    lifetime: Lifetime,
    name: string,
    target: string,
    uid: number,
    gid: number,
    born?: Timestamp,
  ) {
    super(id, lifetime, name, FileType.symlink | 0o777, uid, gid, born);
    this.#target = target;
    this.#size = target.length;
  }

  protected override get target(): string {
    return this.#target;
  }

  /** Returns the memory under another name, the target's included. */
  override heapAs(name: string): number {
    return specialHeap(name, this.#target);
  }

  override get size(): number {
    return this.#size;
  }

  /**
   * readlink(2).
   * @returns the target, bytes as characters
   * @throws FsError ENOENT once the symlink is removed: the target is no longer charged, so the
   * daemon does not keep it for O_PATH descriptors
   */
  override readlink(): string {
    if (this.#target === '') throw new FsError(Errno.ENOENT, 'the symlink has been removed');
    return this.#target;
  }

  /** Also frees the target. */
  override unlinked(others: UnlinkedFiles): void {
    super.unlinked(others);
    this.#target = '';
  }

  /**
   * lchown(2), utimensat(2).
   * @throws FsError EOPNOTSUPP for a mode, as in the kernel (fs/attr.c, notify_change)
   */
  override change(changes: AttributeChanges): void {
    if (changes.mode !== undefined)
      throw new FsError(Errno.EOPNOTSUPP, 'the mode of a symlink cannot be changed');
    super.change(changes);
  }

  /**
   * The kernel follows the symlink itself, so it never asks the daemon.
   * @throws FsError ELOOP
   */
  override open(): Handle {
    throw new FsError(Errno.ELOOP, 'a symlink cannot be opened; open its target');
  }
}
