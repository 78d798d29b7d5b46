/**
 * Formats requests and replies for the trace, in one line each. It reads the bytes that the kernel
 * wrote or reads, so that even a malformed request has a line.
 *
 *   -> #1042 LOOKUP parent=1 "4711" pid=4711 uid=0
 *   <- #1042 ENOENT (no process 4711)
 *
 * Structures and flags have their names in include/uapi/linux/fuse.h and open(2).
 */
import { constants } from 'node:fs';
import {
  FUSE_GETATTR_FH,
  InHeader,
  InitFlag,
  OpenFlag,
  Opcode,
  RenameFlag,
  SetattrValid,
  Size,
  XattrFlag,
} from './abi.js';
import { Fields, type Flags, MISSING, decimal, flagNames } from './fields.js';
import { opcodeName } from './opcodes.js';

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
const FOPEN_FLAGS = withoutPrefix(OpenFlag, 'FOPEN_');
const SETATTR_FLAGS = withoutPrefix(SetattrValid, 'FATTR_');
const RENAME_FLAGS: Flags = { ...RenameFlag, RENAME_EXCHANGE: 1 << 1, RENAME_WHITEOUT: 1 << 2 };
const READ_FLAGS: Flags = { LOCKOWNER: 1 << 1 };
const WRITE_FLAGS: Flags = { CACHE: 1 << 0, LOCKOWNER: 1 << 1, KILL_SUIDGID: 1 << 2 };
const RELEASE_FLAGS: Flags = { FLUSH: 1 << 0, FLOCK_UNLOCK: 1 << 1 };
const FSYNC_FLAGS: Flags = { FDATASYNC: 1 << 0 };
const OPEN_IN_FLAGS: Flags = { KILL_SUIDGID: 1 << 0 };
const ACCESS_MASK: Flags = { X_OK: 1, W_OK: 2, R_OK: 4 };
const POLL_FLAGS: Flags = { SCHEDULE_NOTIFY: 1 << 0 };
const POLL_EVENTS: Flags = {
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
const INIT_FLAGS: Flags = Object.fromEntries(
  Object.entries(InitFlag).map(([name, bit]) => [name.replace('FUSE_', ''), (1 << bit) >>> 0]),
);
/** The most nodes of a BATCH_FORGET that the line lists. */
const MOST_FORGOTTEN = 8;

function withoutPrefix(flags: Flags, prefix: string): Flags {
  return Object.fromEntries(
    Object.entries(flags).map(([name, bits]) => [name.replace(prefix, ''), bits]),
  );
}

/**
 * Formats the fields behind a request's header, by opcode. The line shows no fields of an opcode
 * without an entry.
 */
const REQUEST: Readonly<Record<number, (fields: Fields) => string>> = {
  [Opcode.FUSE_LOOKUP]: (f) => f.name(),
  [Opcode.FUSE_FORGET]: (f) => `nlookup=${f.u64()}`,
  [Opcode.FUSE_BATCH_FORGET]: forgotten,
  [Opcode.FUSE_GETATTR]: ofHandle,
  [Opcode.FUSE_SETATTR]: changes,
  [Opcode.FUSE_SYMLINK]: (f) => `${f.name()} to ${f.name()}`,
  [Opcode.FUSE_MKNOD]: (f) =>
    `mode=${f.octal()} rdev=${f.u32()} umask=${f.octal()} ${f.skip(4).name()}`,
  [Opcode.FUSE_MKDIR]: (f) => `mode=${f.octal()} umask=${f.octal()} ${f.name()}`,
  [Opcode.FUSE_UNLINK]: (f) => f.name(),
  [Opcode.FUSE_RMDIR]: (f) => f.name(),
  [Opcode.FUSE_RENAME]: (f) => `newdir=${f.u64()} ${f.name()} to ${f.name()}`,
  [Opcode.FUSE_RENAME2]: (f) =>
    `newdir=${f.u64()} flags=${f.flags(RENAME_FLAGS)} ${f.skip(4).name()} to ${f.name()}`,
  [Opcode.FUSE_LINK]: (f) => `oldnode=${f.u64()} ${f.name()}`,
  [Opcode.FUSE_OPEN]: (f) => `flags=${openFlags(f)} open_flags=${f.flags(OPEN_IN_FLAGS)}`,
  [Opcode.FUSE_OPENDIR]: (f) => `flags=${openFlags(f)} open_flags=${f.flags(OPEN_IN_FLAGS)}`,
  [Opcode.FUSE_READ]: reading,
  [Opcode.FUSE_READDIR]: reading,
  [Opcode.FUSE_READDIRPLUS]: reading,
  [Opcode.FUSE_WRITE]: (f) =>
    `fh=${f.u64()} offset=${f.u64()} size=${f.u32()} write_flags=${f.flags(WRITE_FLAGS)} flags=${openFlags(f.skip(8))}`,
  [Opcode.FUSE_RELEASE]: closing,
  [Opcode.FUSE_RELEASEDIR]: closing,
  [Opcode.FUSE_FSYNC]: (f) => `fh=${f.u64()} flags=${f.flags(FSYNC_FLAGS)}`,
  [Opcode.FUSE_FSYNCDIR]: (f) => `fh=${f.u64()} flags=${f.flags(FSYNC_FLAGS)}`,
  [Opcode.FUSE_SETXATTR]: (f) => `size=${f.u32()} flags=${f.flags(XattrFlag)} ${f.name()}`,
  [Opcode.FUSE_GETXATTR]: (f) => `size=${f.u32()} ${f.skip(4).name()}`,
  [Opcode.FUSE_LISTXATTR]: (f) => `size=${f.u32()}`,
  [Opcode.FUSE_REMOVEXATTR]: (f) => f.name(),
  [Opcode.FUSE_FLUSH]: (f) => `fh=${f.u64()}`,
  [Opcode.FUSE_INIT]: (f) =>
    `version=${f.u32()}.${f.u32()} max_readahead=${f.u32()} flags=${f.flags(INIT_FLAGS)}`,
  [Opcode.FUSE_GETLK]: locking,
  [Opcode.FUSE_SETLK]: locking,
  [Opcode.FUSE_SETLKW]: locking,
  [Opcode.FUSE_ACCESS]: (f) => `mask=${f.flags(ACCESS_MASK)}`,
  [Opcode.FUSE_CREATE]: creating,
  [Opcode.FUSE_TMPFILE]: creating,
  [Opcode.FUSE_INTERRUPT]: (f) => `of=#${f.u64()}`,
  [Opcode.FUSE_BMAP]: (f) => `block=${f.u64()} blocksize=${f.u32()}`,
  [Opcode.FUSE_IOCTL]: (f) =>
    `fh=${f.u64()} flags=${f.u32()} cmd=${f.u32()} arg=${f.u64()} in_size=${f.u32()} out_size=${f.u32()}`,
  [Opcode.FUSE_POLL]: (f) =>
    `fh=${f.u64()} kh=${f.u64()} flags=${f.flags(POLL_FLAGS)} events=${f.flags(POLL_EVENTS)}`,
  [Opcode.FUSE_FALLOCATE]: (f) =>
    `fh=${f.u64()} offset=${f.u64()} length=${f.u64()} mode=${f.u32()}`,
  [Opcode.FUSE_LSEEK]: (f) => `fh=${f.u64()} offset=${f.u64()} whence=${f.u32()}`,
  [Opcode.FUSE_COPY_FILE_RANGE]: (f) =>
    `fh_in=${f.u64()} off_in=${f.u64()} nodeid_out=${f.u64()} fh_out=${f.u64()} off_out=${f.u64()} len=${f.u64()}`,
};

/** The requests whose node is the parent directory of a name in the request. */
const OF_PARENT: ReadonlySet<number> = new Set([
  Opcode.FUSE_LOOKUP,
  Opcode.FUSE_SYMLINK,
  Opcode.FUSE_MKNOD,
  Opcode.FUSE_MKDIR,
  Opcode.FUSE_UNLINK,
  Opcode.FUSE_RMDIR,
  Opcode.FUSE_RENAME,
  Opcode.FUSE_RENAME2,
  Opcode.FUSE_LINK,
  Opcode.FUSE_CREATE,
  Opcode.FUSE_TMPFILE,
]);

/** The requests that are about the connection, so that the line shows no node. */
const OF_NO_NODE: ReadonlySet<number> = new Set([
  Opcode.FUSE_INIT,
  Opcode.FUSE_DESTROY,
  Opcode.FUSE_BATCH_FORGET,
  Opcode.FUSE_INTERRUPT,
]);

/** Formats the flags of an open file. O_RDONLY is 0, so it needs a special case. */
function openFlags(f: Fields): string {
  const value = f.word();
  if (value === undefined) return MISSING;
  if ((value & O_ACCMODE) !== 0) return flagNames(value, OPEN_FLAGS);
  return value === 0 ? 'O_RDONLY' : `O_RDONLY|${flagNames(value, OPEN_FLAGS)}`;
}

function forgotten(f: Fields): string {
  const count = f.word() ?? 0;
  f.skip(4);
  const shown = Array.from(
    { length: Math.min(count, MOST_FORGOTTEN, Math.floor(f.rest / Size.fuse_forget_one)) },
    () => `${f.u64()}*${f.u64()}`,
  );
  return [`count=${count}`, ...shown, ...(shown.length < count ? ['...'] : [])].join(' ');
}

function ofHandle(f: Fields): string {
  const flags = f.word() ?? 0;
  const fh = f.skip(4).u64();
  return (flags & FUSE_GETATTR_FH) === 0 ? '' : `fh=${fh}`;
}

/** Formats a fuse_setattr_in: only the attributes that the caller changes. */
function changes(f: Fields): string {
  const valid = f.word() ?? 0;
  f.skip(4);
  const fh = f.u64();
  const size = f.u64();
  f.skip(8 + 3 * 8 + 3 * 4); // lock_owner; atime, mtime, ctime with their nanoseconds
  const mode = f.octal();
  f.skip(4);
  const uid = f.u32();
  const gid = f.u32();
  const values = Object.entries({
    FATTR_FH: `fh=${fh}`,
    FATTR_MODE: `mode=${mode}`,
    FATTR_UID: `to_uid=${uid}`,
    FATTR_GID: `to_gid=${gid}`,
    FATTR_SIZE: `size=${size}`,
  });
  const shown = values
    .filter(([name]) => (valid & SetattrValid[name as keyof typeof SetattrValid]) !== 0)
    .map(([, value]) => value);
  return [`valid=${flagNames(valid, SETATTR_FLAGS)}`, ...shown].join(' ');
}

/** Formats a fuse_read_in. A read without LOCKOWNER goes into the page cache. */
function reading(f: Fields): string {
  return `fh=${f.u64()} offset=${f.u64()} size=${f.u32()} read_flags=${f.flags(READ_FLAGS)} flags=${openFlags(f.skip(8))}`;
}

function closing(f: Fields): string {
  return `fh=${f.u64()} flags=${openFlags(f)} release_flags=${f.flags(RELEASE_FLAGS)}`;
}

function creating(f: Fields): string {
  return `flags=${openFlags(f)} mode=${f.octal()} umask=${f.octal()} open_flags=${f.flags(OPEN_IN_FLAGS)} ${f.name()}`;
}

function locking(f: Fields): string {
  return `fh=${f.u64()} owner=${f.u64()} start=${f.u64()} end=${f.u64()} type=${f.u32()} pid=${f.u32()}`;
}

/** The fields of fuse_in_header that the trace shows. */
export interface RequestHeader {
  readonly opcode: number;
  /** The name of the opcode, as in `LOOKUP`. */
  readonly name: string;
  /** The request's `unique`, as in `1042`. */
  readonly unique: string;
  /** The node id, in decimal. */
  readonly node: string;
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Reads the header of a request.
 *
 * @param length how many of `bytes` are the request
 * @returns undefined if the request is shorter than a header
 */
export function headerOf(bytes: Uint8Array, length: number): RequestHeader | undefined {
  if (length < Size.fuse_in_header || bytes.length < Size.fuse_in_header) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const word = (at: number): number => view.getUint32(at, true);
  const opcode = word(InHeader.opcode);
  return {
    opcode,
    name: shortName(opcode),
    unique: decimal(word(InHeader.unique), word(InHeader.unique + 4)),
    node: decimal(word(InHeader.nodeid), word(InHeader.nodeid + 4)),
    pid: word(InHeader.pid),
    uid: word(InHeader.uid),
    gid: word(InHeader.gid),
  };
}

/** Returns an opcode's name without its prefix, as in `LOOKUP`. */
export function shortName(opcode: number): string {
  return opcodeName(opcode).replace('FUSE_', '').replace(' ', '-');
}

/**
 * Formats a request: the opcode, the node, the fields and the caller. The line shows the group only
 * if its number differs from the user's.
 *
 * @param length how many of `bytes` are the request
 */
export function describeRequest(bytes: Uint8Array, length: number): string {
  const header = headerOf(bytes, length);
  if (header === undefined) return `${length} bytes without a header`;
  const { opcode, name, node, pid, uid, gid } = header;
  const parts = [name];
  if (!OF_NO_NODE.has(opcode)) parts.push(`${OF_PARENT.has(opcode) ? 'parent' : 'node'}=${node}`);
  parts.push(REQUEST[opcode]?.(new Fields(bytes, Size.fuse_in_header, length)) ?? '');
  parts.push(`pid=${pid} uid=${uid}`);
  if (gid !== uid) parts.push(`gid=${gid}`);
  return parts.filter((part) => part !== '').join(' ');
}

/**
 * Formats the fields behind a reply's header, by opcode. For an opcode without an entry, the line
 * shows the length.
 */
const REPLY: Readonly<Record<number, (fields: Fields) => string>> = {
  [Opcode.FUSE_LOOKUP]: entry,
  [Opcode.FUSE_SYMLINK]: entry,
  [Opcode.FUSE_MKNOD]: entry,
  [Opcode.FUSE_MKDIR]: entry,
  [Opcode.FUSE_LINK]: entry,
  [Opcode.FUSE_CREATE]: (f) => `${entry(f)} ${opened(f)}`,
  [Opcode.FUSE_GETATTR]: (f) => attributes(f.skip(16)),
  [Opcode.FUSE_SETATTR]: (f) => attributes(f.skip(16)),
  [Opcode.FUSE_READLINK]: (f) => f.text(),
  [Opcode.FUSE_OPEN]: opened,
  [Opcode.FUSE_OPENDIR]: opened,
  [Opcode.FUSE_WRITE]: (f) => `size=${f.u32()}`,
  [Opcode.FUSE_POLL]: (f) => `revents=${f.flags(POLL_EVENTS)}`,
  [Opcode.FUSE_STATFS]: (f) =>
    `blocks=${f.u64()} bfree=${f.u64()} bavail=${f.u64()} files=${f.u64()} ffree=${f.u64()}`,
  [Opcode.FUSE_INIT]: (f) =>
    `version=${f.u32()}.${f.u32()} max_readahead=${f.u32()} flags=${f.flags(INIT_FLAGS)}`,
};

/** Formats a fuse_entry_out. */
function entry(f: Fields): string {
  return `node=${f.u64()} ${attributes(f.skip(Size.fuse_entry_out - Size.fuse_attr - 8))}`;
}

/** Formats a fuse_attr. */
function attributes(f: Fields): string {
  const ino = f.u64();
  const size = f.u64();
  f.skip(8 + 3 * 8 + 3 * 4); // blocks; atime, mtime, ctime with their nanoseconds
  const mode = f.octal();
  const shown = `ino=${ino} mode=${mode} nlink=${f.u32()} uid=${f.u32()} gid=${f.u32()} size=${size}`;
  f.skip(3 * 4); // rdev, blksize, flags
  return shown;
}

/** Formats a fuse_open_out. */
function opened(f: Fields): string {
  return `fh=${f.u64()} open_flags=${f.flags(FOPEN_FLAGS)}`;
}

/**
 * Formats a successful reply: the text that follows `OK` in the trace.
 *
 * @param opcode the opcode of the request
 * @param bytes the reply, header included
 * @param length how many of `bytes` are the reply
 * @param more how many bytes of the log follow as a slice
 * @returns an empty string if the reply has nothing to show
 */
export function describeReply(
  opcode: number,
  bytes: Uint8Array,
  length: number,
  more: number,
): string {
  const describe = REPLY[opcode];
  if (describe !== undefined && length > Size.fuse_out_header)
    return describe(new Fields(bytes, Size.fuse_out_header, length));
  const body = length - Size.fuse_out_header + more;
  // For READ and READDIR an empty reply has a meaning: the end of the file or directory.
  const isRead = opcode === Opcode.FUSE_READ || opcode === Opcode.FUSE_READDIR;
  return body > 0 || isRead ? `${body} bytes` : '';
}
