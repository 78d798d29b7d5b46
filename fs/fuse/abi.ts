/**
 * The FUSE kernel protocol, include/uapi/linux/fuse.h, by the kernel's own names. Sizes and offsets
 * are in bytes. test/unit/fuse/layout.test.ts compares them with the header of the machine. All
 * integers are in the machine's byte order. Every machine that Node 20 runs on is little-endian,
 * except s390x, which session.ts refuses.
 */

/** The major version of the protocol. */
export const FUSE_KERNEL_VERSION = 7;
/** The minor version that this file describes. A newer kernel works down to it. */
export const FUSE_KERNEL_MINOR_VERSION = 38;
/** The oldest minor version that eventfs supports: Linux 5.4. */
export const OLDEST_MINOR_VERSION = 31;

/** The node id of the mount's root. */
export const FUSE_ROOT_ID = 1;

/**
 * Opcodes of requests: enum fuse_opcode. A kernel sends the newest of them whatever version the
 * daemon speaks, until one has got ENOSYS.
 */
export const Opcode = {
  FUSE_LOOKUP: 1,
  FUSE_FORGET: 2,
  FUSE_GETATTR: 3,
  FUSE_SETATTR: 4,
  FUSE_READLINK: 5,
  FUSE_SYMLINK: 6,
  FUSE_MKNOD: 8,
  FUSE_MKDIR: 9,
  FUSE_UNLINK: 10,
  FUSE_RMDIR: 11,
  FUSE_RENAME: 12,
  FUSE_LINK: 13,
  FUSE_OPEN: 14,
  FUSE_READ: 15,
  FUSE_WRITE: 16,
  FUSE_STATFS: 17,
  FUSE_RELEASE: 18,
  FUSE_FSYNC: 20,
  FUSE_SETXATTR: 21,
  FUSE_GETXATTR: 22,
  FUSE_LISTXATTR: 23,
  FUSE_REMOVEXATTR: 24,
  FUSE_FLUSH: 25,
  FUSE_INIT: 26,
  FUSE_OPENDIR: 27,
  FUSE_READDIR: 28,
  FUSE_RELEASEDIR: 29,
  FUSE_FSYNCDIR: 30,
  FUSE_GETLK: 31,
  FUSE_SETLK: 32,
  FUSE_SETLKW: 33,
  FUSE_ACCESS: 34,
  FUSE_CREATE: 35,
  FUSE_INTERRUPT: 36,
  FUSE_BMAP: 37,
  FUSE_DESTROY: 38,
  FUSE_IOCTL: 39,
  FUSE_POLL: 40,
  FUSE_NOTIFY_REPLY: 41,
  FUSE_BATCH_FORGET: 42,
  FUSE_FALLOCATE: 43,
  FUSE_READDIRPLUS: 44,
  FUSE_RENAME2: 45,
  FUSE_LSEEK: 46,
  FUSE_COPY_FILE_RANGE: 47,
  FUSE_SETUPMAPPING: 48,
  FUSE_REMOVEMAPPING: 49,
  FUSE_SYNCFS: 50,
  FUSE_TMPFILE: 51,
  FUSE_STATX: 52, // 7.39
  FUSE_COPY_FILE_RANGE_64: 53, // 7.45
} as const;

/**
 * Flags of fuse_init_in and fuse_init_out as bit numbers. Bits from 32 on are in the field flags2.
 */
export const InitFlag = {
  FUSE_ASYNC_READ: 0,
  FUSE_ATOMIC_O_TRUNC: 3,
  FUSE_BIG_WRITES: 5,
  FUSE_PARALLEL_DIROPS: 18,
  FUSE_ABORT_ERROR: 21,
  FUSE_MAX_PAGES: 22,
  FUSE_INIT_EXT: 30,
} as const;

/**
 * Bit 38 of the flags, in flags2: name_to_handle_at(2) returns no file handles that
 * open_by_handle_at(2) accepts (7.40).
 */
export const FUSE_NO_EXPORT_SUPPORT = 1 << (38 - 32);
/** Bit 41 of the flags, in flags2: the kernel can send requests through io_uring (7.42). */
export const FUSE_OVER_IO_URING = 1 << (41 - 32);
/**
 * Bit 42 of the flags, in flags2: the field request_timeout of fuse_init_out is set (7.43). The
 * kernel ends the connection if a request is older than that field's seconds.
 */
export const FUSE_REQUEST_TIMEOUT = 1 << (42 - 32);

/**
 * Bit 39 of the flags, in flags2: the kernel can send all requests again that have no reply
 * (FUSE_NOTIFY_RESEND; 7.40, Linux 6.9).
 */
export const FUSE_HAS_RESEND = 1 << (39 - 32);

/** Flags of fuse_open_out. */
export const OpenFlag = {
  FOPEN_DIRECT_IO: 1 << 0,
  FOPEN_NONSEEKABLE: 1 << 2,
  FOPEN_STREAM: 1 << 4,
  FOPEN_NOFLUSH: 1 << 5,
  FOPEN_PARALLEL_DIRECT_WRITES: 1 << 6,
} as const;

/** Bits of fuse_setattr_in.valid. */
export const SetattrValid = {
  FATTR_MODE: 1 << 0,
  FATTR_UID: 1 << 1,
  FATTR_GID: 1 << 2,
  FATTR_SIZE: 1 << 3,
  FATTR_ATIME: 1 << 4,
  FATTR_MTIME: 1 << 5,
  FATTR_FH: 1 << 6,
  FATTR_ATIME_NOW: 1 << 7,
  FATTR_MTIME_NOW: 1 << 8,
} as const;

/** A flag of fuse_getattr_in.getattr_flags: the field `fh` is set. */
export const FUSE_GETATTR_FH = 1 << 0;
/**
 * A flag of fuse_read_in.read_flags: the field `lock_owner` is set. The kernel sets it for every
 * read(2), and never for a read into the page cache.
 */
export const FUSE_READ_LOCKOWNER = 1 << 1;
/** A flag of fuse_poll_in.flags: the caller waits for FUSE_NOTIFY_POLL. */
export const FUSE_POLL_SCHEDULE_NOTIFY = 1 << 0;
/**
 * The code of a notification. A notification is a reply with unique 0 and its code in the field
 * `error`.
 */
export const FUSE_NOTIFY_POLL = 1;
export const FUSE_NOTIFY_RESEND = 7;

/** Offsets of the fields of fuse_in_header. */
export const InHeader = {
  len: 0,
  opcode: 4,
  unique: 8,
  nodeid: 16,
  uid: 24,
  gid: 28,
  pid: 32,
} as const;

/**
 * The size of fuse_setxattr_in without FUSE_SETXATTR_EXT, which eventfs does not request: the
 * fields size and flags.
 */
export const FUSE_COMPAT_SETXATTR_IN_SIZE = 8;

/** Flags of renameat2(2), from linux/fs.h. */
export const RenameFlag = { RENAME_NOREPLACE: 1 << 0 } as const;

/** Flags of setxattr(2), from linux/xattr.h. */
export const XattrFlag = { XATTR_CREATE: 1 << 0, XATTR_REPLACE: 1 << 1 } as const;

/**
 * Sizes of the structures, as sizeof returns them. The size of fuse_init_in is that of 7.31;
 * eventfs reads a longer one no further, except flags2.
 */
export const Size = {
  fuse_in_header: 40,
  fuse_out_header: 16,
  fuse_attr: 88,
  fuse_entry_out: 128,
  fuse_attr_out: 104,
  fuse_open_out: 16,
  fuse_write_out: 8,
  fuse_statfs_out: 80,
  fuse_poll_out: 8,
  fuse_init_out: 64,
  fuse_dirent: 24,
  fuse_forget_one: 16,
  fuse_notify_poll_wakeup_out: 8,
  fuse_forget_in: 8,
  fuse_getattr_in: 16,
  fuse_setattr_in: 88,
  fuse_mkdir_in: 8,
  fuse_mknod_in: 16,
  fuse_link_in: 8,
  fuse_rename_in: 8,
  fuse_rename2_in: 16,
  fuse_getxattr_in: 8,
  fuse_getxattr_out: 8,
  fuse_open_in: 8,
  fuse_create_in: 16,
  fuse_read_in: 40,
  fuse_write_in: 40,
  fuse_release_in: 24,
  fuse_fsync_in: 16,
  fuse_init_in: 16,
  fuse_interrupt_in: 8,
  fuse_poll_in: 24,
  fuse_batch_forget_in: 8,
} as const;
