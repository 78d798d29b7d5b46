/**
 * Formats requests for the trace, in one line each. It reads the bytes that the kernel wrote, so
 * that even a malformed request has a line.
 *
 *   -> #1042 LOOKUP parent=1 "4711" pid=4711 uid=0
 */
import { FUSE_GETATTR_FH, Opcode, SetattrValid, Size, XattrFlag } from '../abi.js';
import { Fields, flagNames } from './fields.js';
import {
  SETATTR_FLAGS,
  RENAME_FLAGS,
  READ_FLAGS,
  WRITE_FLAGS,
  RELEASE_FLAGS,
  FSYNC_FLAGS,
  OPEN_IN_FLAGS,
  ACCESS_MASK,
  POLL_FLAGS,
  STATX_FLAGS,
  STATX_MASK,
  POLL_EVENTS,
  INIT_FLAGS,
  openFlags,
} from './flags.js';
import { headerOf } from './header.js';

/** The most nodes of a BATCH_FORGET that the line lists. */
const MOST_FORGOTTEN = 8;

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
  [Opcode.FUSE_COPY_FILE_RANGE]: copying,
  [Opcode.FUSE_COPY_FILE_RANGE_64]: copying,
  [Opcode.FUSE_STATX]: (f) =>
    `${ofHandle(f)} sx_flags=${f.flags(STATX_FLAGS)} sx_mask=${f.flags(STATX_MASK)}`.trimStart(),
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

function copying(f: Fields): string {
  return `fh_in=${f.u64()} off_in=${f.u64()} nodeid_out=${f.u64()} fh_out=${f.u64()} off_out=${f.u64()} len=${f.u64()}`;
}

function locking(f: Fields): string {
  return `fh=${f.u64()} owner=${f.u64()} start=${f.u64()} end=${f.u64()} type=${f.u32()} pid=${f.u32()}`;
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
