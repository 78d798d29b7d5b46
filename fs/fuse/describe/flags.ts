/**
 * The flags of requests and replies by name: include/uapi/linux/fuse.h, open(2), access(2),
 * statx(2) and poll(2).
 */
import { constants } from 'node:fs';
import { InitFlag, OpenFlag, RenameFlag, SetattrValid } from '../abi.js';
import { type Fields, type Flags, MISSING, flagNames } from './fields.js';

/** Flags of open(2). O_SYNC comes before O_DSYNC because it includes that bit. */
const OPEN_FLAGS: Flags = {
  O_WRONLY: constants.O_WRONLY,
  O_RDWR: constants.O_RDWR,
  O_CREAT: constants.O_CREAT,
  O_EXCL: constants.O_EXCL,
  O_NOCTTY: constants.O_NOCTTY,
  O_TRUNC: constants.O_TRUNC,
  O_APPEND: constants.O_APPEND,
  O_NONBLOCK: constants.O_NONBLOCK,
  O_SYNC: constants.O_SYNC,
  O_DSYNC: constants.O_DSYNC,
  O_DIRECT: constants.O_DIRECT,
  O_DIRECTORY: constants.O_DIRECTORY,
  O_NOFOLLOW: constants.O_NOFOLLOW,
  O_NOATIME: constants.O_NOATIME,
  // the kernel's value: C libraries define it as 0
  O_LARGEFILE: process.arch === 'arm64' ? 0o400000 : 0o100000,
};
const O_ACCMODE = 3;
export const FOPEN_FLAGS = withoutPrefix(OpenFlag, 'FOPEN_');
export const SETATTR_FLAGS = withoutPrefix(SetattrValid, 'FATTR_');
export const RENAME_FLAGS: Flags = {
  ...RenameFlag,
  RENAME_EXCHANGE: 1 << 1,
  RENAME_WHITEOUT: 1 << 2,
};
export const READ_FLAGS: Flags = { LOCKOWNER: 1 << 1 };
export const WRITE_FLAGS: Flags = { CACHE: 1 << 0, LOCKOWNER: 1 << 1, KILL_SUIDGID: 1 << 2 };
export const RELEASE_FLAGS: Flags = { FLUSH: 1 << 0, FLOCK_UNLOCK: 1 << 1 };
export const FSYNC_FLAGS: Flags = { FDATASYNC: 1 << 0 };
export const OPEN_IN_FLAGS: Flags = { KILL_SUIDGID: 1 << 0 };
export const ACCESS_MASK: Flags = { X_OK: 1, W_OK: 2, R_OK: 4 };
export const POLL_FLAGS: Flags = { SCHEDULE_NOTIFY: 1 << 0 };
export const STATX_FLAGS: Flags = { FORCE_SYNC: 0x2000, DONT_SYNC: 0x4000 };
export const STATX_MASK: Flags = { BASIC_STATS: 0x7ff, BTIME: 0x800 };
export const POLL_EVENTS: Flags = {
  POLLIN: 0x1,
  POLLPRI: 0x2,
  POLLOUT: 0x4,
  POLLERR: 0x8,
  POLLHUP: 0x10,
  POLLRDNORM: 0x40,
  POLLRDBAND: 0x80,
  POLLWRNORM: 0x100,
  POLLWRBAND: 0x200,
  POLLRDHUP: 0x2000,
};
export const INIT_FLAGS: Flags = Object.fromEntries(
  Object.entries(InitFlag).map(([name, bit]) => [name.replace('FUSE_', ''), (1 << bit) >>> 0]),
);

/** Formats the flags of an open file. O_RDONLY is 0, so it needs a special case. */
export function openFlags(f: Fields): string {
  const value = f.word();
  if (value === undefined) return MISSING;
  if ((value & O_ACCMODE) !== 0) return flagNames(value, OPEN_FLAGS);
  return value === 0 ? 'O_RDONLY' : `O_RDONLY|${flagNames(value, OPEN_FLAGS)}`;
}

function withoutPrefix(flags: Flags, prefix: string): Flags {
  return Object.fromEntries(
    Object.entries(flags).map(([name, bits]) => [name.replace(prefix, ''), bits]),
  );
}
