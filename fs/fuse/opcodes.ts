/**
 * The opcodes that eventfs serves: one row for each.
 *
 * The session answers an opcode without a row with ENOSYS. The kernel then does not ask again, or
 * does the operation another way: FLUSH (eventfs has nothing to write back), ACCESS
 * (default_permissions), READDIRPLUS, LSEEK, COPY_FILE_RANGE, FALLOCATE, STATX (the kernel sends a
 * GETATTR), locks (the kernel keeps them).
 *
 * OPENDIR must have a row: ENOSYS there turns directory caching on. FSYNC and FSYNCDIR must have
 * one: after ENOSYS the kernel returns 0 by itself, even for a dead owner's files
 * (docs/promise.md).
 */
import { FUSE_COMPAT_SETXATTR_IN_SIZE, Opcode, Size } from './abi.js';
import type { Outcome, Reply } from './reply.js';
import type { Request } from './request.js';

/** A handler's outcome: it has built the reply. */
export const DONE = 0 as Outcome;
/** A handler's outcome: there is no reply, or none yet. */
export const NO_REPLY = -1 as Outcome;

/** Serves one request. A handler builds the reply as its last step, and may throw to fail. */
export type Handler = (request: Request, reply: Reply) => Outcome;

/**
 * One handler for each row, none of which needs `this`. The doc of each method names its system
 * call, its reply and its errors.
 */
export type Handlers = Record<(typeof OPERATIONS)[number]['method'], Handler>;

/** One row of the table. */
interface Operation {
  readonly opcode: number;
  readonly name: keyof typeof Opcode;
  /** The name of the method in {@link Handlers}. */
  readonly method: string;
  /** The fewest bytes that follow the request's header. */
  readonly inBytes: number;
  /** Whether the kernel waits for a reply. */
  readonly answered: boolean;
}

/** The size of the shortest name in bytes: one byte and its NUL. */
const NAME = 2;

const row = <M extends string>(
  name: keyof typeof Opcode,
  method: M,
  inBytes: number,
  answered = true,
) => ({ opcode: Opcode[name], name, method, inBytes, answered }) as const;

/** The table of opcodes. */
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

/** The rows indexed by opcode; undefined for an opcode that eventfs does not serve. */
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

/** Returns the name of an opcode, as in `FUSE_LOOKUP`, even if eventfs does not serve it. */
export function opcodeName(opcode: number): string {
  const found = Object.entries(Opcode).find(([, value]) => value === opcode);
  return found?.[0] ?? `opcode ${opcode}`;
}
