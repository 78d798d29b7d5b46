/**
 * The attributes of files and directories: what stat(2) shows and what chmod(2) and others change.
 */
import { type Timestamp, now } from '../../shared/timestamp.js';
import { type TimeFields, timeFields, timeOf } from '../../state/times.js';

/** The file types of st_mode (inode(7)). */
export const FileType = {
  fifo: 0o010000,
  directory: 0o040000,
  regular: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
} as const;
/** The bits of st_mode that hold the file type (inode(7)). */
export const TYPE_MASK = 0o170000;
/** The bits of st_mode that hold permissions, set-user-ID, set-group-ID and sticky (inode(7)). */
export const PERMISSION_BITS = 0o7777;

/**
 * The user that the mount's own files belong to: the daemon's. That is root, or without root the
 * user who mounts.
 */
export const MOUNT_USER = {
  uid: process.geteuid?.() ?? 0,
  gid: process.getegid?.() ?? 0,
} as const;

/** The fields of stat(2) (fuse_attr). A node fills them in anew at each request. */
export class Attributes {
  ino = 0;
  size = 0;
  mode = 0;
  nlink = 0;
  uid = 0;
  gid = 0;
  atime: Timestamp;
  mtime: Timestamp;
  ctime: Timestamp;

  constructor() {
    this.atime = this.mtime = this.ctime = now();
  }

  /** Sets all fields but uid, gid and the times; `size` in bytes. */
  setFile(ino: number, mode: number, nlink: number, size = 0): void {
    this.ino = ino;
    this.mode = mode;
    this.nlink = nlink;
    this.size = size;
  }

  /** Sets uid and gid. */
  setOwner(uid: number, gid: number): void {
    this.uid = uid;
    this.gid = gid;
  }

  /** Sets the times: of the last read, of the last write, and of the last change of anything. */
  setTimes(atime: Timestamp, mtime: Timestamp, ctime: Timestamp): void {
    this.atime = atime;
    this.mtime = mtime;
    this.ctime = ctime;
  }
}

/**
 * The changes that chmod(2), chown(2), utimensat(2) or truncate(2) requests. An absent field stays
 * as it is.
 */
export interface AttributeChanges {
  mode?: number;
  uid?: number;
  gid?: number;
  /** The new length, in bytes. */
  size?: number;
  atime?: Timestamp;
  mtime?: Timestamp;
}

/** The fields of a record that hold attributes of a node. */
export interface RecordedAttributes
  extends TimeFields<'accessed'>, TimeFields<'modified'>, TimeFields<'changed'> {
  mode: number;
  uid: number;
  gid: number;
}

/** The attributes of one node that a user can change. */
export class OwnAttributes {
  /** When the contents were read last; nothing but utimensat(2) sets it. */
  accessed: Timestamp;
  /** When the contents changed last. */
  modified: Timestamp;
  /** When the contents or an attribute changed last. */
  changed: Timestamp;

  /**
   * @param permissions the permission bits of st_mode
   * @param born the time at which the daemon made the node
   */
  constructor(
    public permissions: number,
    public uid: number,
    public gid: number,
    born: Timestamp,
  ) {
    this.accessed = this.modified = this.changed = born;
  }

  /** chmod(2), chown(2), utimensat(2). Sets ctime. A size is ignored. */
  change(changes: AttributeChanges): void {
    if (changes.mode !== undefined) this.permissions = changes.mode & PERMISSION_BITS;
    this.uid = changes.uid ?? this.uid;
    this.gid = changes.gid ?? this.gid;
    this.accessed = changes.atime ?? this.accessed;
    this.modified = changes.mtime ?? this.modified;
    this.changed = now();
  }

  /**
   * Sets mtime and ctime: the contents changed.
   * @param time when they changed
   */
  contentsChanged(time: Timestamp = now()): void {
    this.modified = this.changed = time;
  }

  /** Sets ctime: a name of the file was added, changed or removed. */
  nameChanged(): void {
    this.changed = now();
  }

  /** Their fields of a record, for a later daemon. */
  get fields(): RecordedAttributes {
    return {
      mode: this.permissions,
      uid: this.uid,
      gid: this.gid,
      ...timeFields('accessed', this.accessed),
      ...timeFields('modified', this.modified),
      ...timeFields('changed', this.changed),
    };
  }

  /** Restores the attributes that the node had in an earlier daemon. */
  restore(fields: RecordedAttributes): void {
    this.permissions = fields.mode & PERMISSION_BITS;
    this.uid = fields.uid;
    this.gid = fields.gid;
    this.accessed = timeOf(fields, 'accessed');
    this.modified = timeOf(fields, 'modified');
    this.changed = timeOf(fields, 'changed');
  }

  /** Fills in uid, gid and the times. */
  show(to: Attributes): void {
    to.uid = this.uid;
    to.gid = this.gid;
    to.atime = this.accessed;
    to.mtime = this.modified;
    to.ctime = this.changed;
  }
}
