/**
 * Formats replies for the trace, in one line each. It reads the bytes that the kernel will read.
 *
 *   <- #1042 OK node=2 ino=2 mode=040755 nlink=2 uid=0 gid=0 size=0
 */
import { Opcode, Size } from '../abi.js';
import { Fields } from './fields.js';
import { FOPEN_FLAGS, POLL_EVENTS, INIT_FLAGS } from './flags.js';

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
