/**
 * What is served: one row an opcode.
 *
 * An opcode without a row is answered ENOSYS, after which the kernel does not ask again or does it another way: FLUSH
 * (nothing to write back), ACCESS (default_permissions), READDIRPLUS, LSEEK, COPY_FILE_RANGE, FALLOCATE, locks (kept
 * by the kernel). OPENDIR must have one: ENOSYS there turns directory caching on. FSYNC and FSYNCDIR must have one:
 * after ENOSYS the kernel says 0 by itself, for a dead owner's files too (docs/promise.md).
 */
import { FUSE_COMPAT_SETXATTR_IN_SIZE, Opcode, Size } from './abi.js';
import type { Outcome, Reply } from './reply.js';
import type { Request } from './request.js';

/** The reply is built. */
export const DONE = 0 as Outcome;
/** There is none, or none yet. */
export const NO_REPLY = -1 as Outcome;

/** Builds the reply, last of all that it does; may throw to fail. */
export type Handler = (request: Request, reply: Reply) => Outcome;

/** Who answers; each method says which system call it is, what it replies and what errors it gives. */
export type Handlers = Record<(typeof OPERATIONS)[number]['method'], Handler>;

export interface Operation {
  readonly opcode: number;
  readonly name: keyof typeof Opcode;
  readonly method: string;
  /** The least that follows the header. */
  readonly inBytes: number;
  /** Whether the kernel waits for an answer. */
  readonly answered: boolean;
}

/** The shortest name is one byte and its NUL. */
const NAME = 2;

const row = <M extends string>(
  name: keyof typeof Opcode,
  method: M,
  inBytes: number,
  answered = true,
) => ({ opcode: Opcode[name], name, method, inBytes, answered }) as const;

export const OPERATIONS = [
  row('FUSE_LOOKUP', 'lookup', NAME),
  row('FUSE_FORGET', 'forget', Size.fuse_forget_in, false),
  row('FUSE_BATCH_FORGET', 'batchForget', Size.fuse_batch_forget_in, false),
  row('FUSE_GETATTR', 'getattr', Size.fuse_getattr_in),
  row('FUSE_SETATTR', 'setattr', Size.fuse_setattr_in),
  row('FUSE_READLINK', 'readlink', 0),
  row('FUSE_MKDIR', 'mkdir', Size.fuse_mkdir_in + NAME),
  row('FUSE_MKNOD', 'mknod', Size.fuse_mknod_in + NAME),
  row('FUSE_SYMLINK', 'symlink', NAME + NAME),
  row('FUSE_LINK', 'link', Size.fuse_link_in + NAME),
  row('FUSE_RENAME', 'rename', Size.fuse_rename_in + NAME + NAME),
  row('FUSE_RENAME2', 'rename2', Size.fuse_rename2_in + NAME + NAME),
  row('FUSE_UNLINK', 'unlink', NAME),
  row('FUSE_RMDIR', 'rmdir', NAME),
  row('FUSE_OPEN', 'open', Size.fuse_open_in),
  row('FUSE_CREATE', 'create', Size.fuse_create_in + NAME),
  row('FUSE_READ', 'read', Size.fuse_read_in),
  row('FUSE_WRITE', 'write', Size.fuse_write_in),
  row('FUSE_RELEASE', 'release', Size.fuse_release_in),
  row('FUSE_FSYNC', 'fsync', Size.fuse_fsync_in),
  row('FUSE_OPENDIR', 'opendir', Size.fuse_open_in),
  row('FUSE_READDIR', 'readdir', Size.fuse_read_in),
  row('FUSE_RELEASEDIR', 'releasedir', Size.fuse_release_in),
  row('FUSE_FSYNCDIR', 'fsyncdir', Size.fuse_fsync_in),
  row('FUSE_SETXATTR', 'setxattr', FUSE_COMPAT_SETXATTR_IN_SIZE + NAME),
  row('FUSE_GETXATTR', 'getxattr', Size.fuse_getxattr_in + NAME),
  row('FUSE_LISTXATTR', 'listxattr', Size.fuse_getxattr_in),
  row('FUSE_REMOVEXATTR', 'removexattr', NAME),
  row('FUSE_STATFS', 'statfs', 0),
  row('FUSE_POLL', 'poll', Size.fuse_poll_in),
  row('FUSE_INTERRUPT', 'interrupt', Size.fuse_interrupt_in, false),
  row('FUSE_DESTROY', 'destroy', 0),
] as const;

/** The rows by opcode. */
export const operationOf: readonly (Operation | undefined)[] = index(OPERATIONS);

function index(operations: readonly Operation[]): readonly (Operation | undefined)[] {
  const table: (Operation | undefined)[] = new Array<undefined>(
    Math.max(...Object.values(Opcode)) + 1,
  ).fill(undefined);
  for (const operation of operations) {
    if (table[operation.opcode] !== undefined) throw new Error(`two rows for ${operation.name}`);
    table[operation.opcode] = operation;
  }
  return table;
}

/** The name of an opcode, served or not. */
export function opcodeName(opcode: number): string {
  const found = Object.entries(Opcode).find(([, value]) => value === opcode);
  return found?.[0] ?? `opcode ${opcode}`;
}
