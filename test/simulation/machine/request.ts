/** The requests of the simulated kernel, and their bytes as /dev/fuse would carry them. */
import { FUSE_POLL_SCHEDULE_NOTIFY, FUSE_READ_LOCKOWNER, Opcode } from '../../../fs/fuse/abi.js';

export type OpcodeName = keyof typeof Opcode;

/** Bit 63 of a request's `unique`, in its high word: the kernel has sent it again. */
export const RESEND_BIT = 0x80000000;
/** Bit 0 of `unique`: an INTERRUPT. */
const INTERRUPT_BIT = 1;

/** A reply: the errno, and the bytes behind the header. */
export interface SimReply {
  readonly errno: number;
  readonly body: Buffer;
}

/** A request with its operands. An operation uses a few of the fields. */
export class SimRequest {
  nodeid = 0;
  uid = 0;
  gid = 0;
  pid = 0;
  name = '';
  /** The new name of a rename, or the target of a symlink. */
  other = '';
  /** The new directory of a rename, the old node of a link, or the poll key. */
  target = 0;
  fh = 0;
  offset = 0;
  size = 0;
  mode = 0;
  flags = 0;
  /** The bits of fuse_setattr_in.valid. */
  valid = 0;
  newUid = 0;
  newGid = 0;
  data = '';
  /** The number of requests before it, times two. */
  unique = 0;
  isResent = false;
  isPending = false;
  isSent = false;
  isInterrupted = false;
  reply: SimReply | null = null;
  /** The reply that a killed daemon has recorded. */
  recorded: SimReply | null = null;
  /** Whether the model has taken the reply already. */
  isTaken = false;
  /** Called with the reply. */
  onReply: (reply: SimReply) => void = () => undefined;

  constructor(readonly op: OpcodeName) {}
}

const TWO_32 = 2 ** 32;
const HEADER_BYTES = 40;

/** Writes requests into the memory that the daemon reads. */
export class RequestWriter {
  readonly #words: Uint32Array;
  readonly #text: Buffer;
  #at = 0;

  constructor(readonly bytes: Uint8Array) {
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
    this.#text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Writes a request, and returns its length in bytes. */
  write(request: SimRequest): number {
    this.#begin(request.op, request.nodeid, request);
    this.#payload(request);
    return this.#end();
  }

  /** Writes FUSE_INIT as of Linux 6.18. */
  init(request: SimRequest): number {
    this.#begin('FUSE_INIT', 0, request);
    this.#u32(7, 45, 131072, 0xffffffff, 0);
    for (let n = 0; n < 11; n++) this.#u32(0);
    return this.#end();
  }

  /** Writes FUSE_INTERRUPT of a request that was sent. */
  interrupt({ unique, isResent }: SimRequest): number {
    this.#header('FUSE_INTERRUPT', 0, unique | INTERRUPT_BIT, isResent, 0, 0, 0);
    this.#u32(unique, (unique / TWO_32) | (isResent ? RESEND_BIT : 0));
    return this.#end();
  }

  /** Writes FUSE_FORGET or FUSE_BATCH_FORGET. */
  forget(unique: number, nodes: readonly (readonly [nodeid: number, count: number])[]): number {
    if (nodes.length === 1) {
      this.#header('FUSE_FORGET', nodes[0][0], unique, false, 0, 0, 0);
      this.#u64(nodes[0][1]);
      return this.#end();
    }
    this.#header('FUSE_BATCH_FORGET', 0, unique, false, 0, 0, 0);
    this.#u32(nodes.length, 0);
    for (const [nodeid, count] of nodes) {
      this.#u64(nodeid);
      this.#u64(count);
    }
    return this.#end();
  }

  #begin(op: OpcodeName, nodeid: number, { unique, isResent, uid, gid, pid }: SimRequest): void {
    this.#header(op, nodeid, unique, isResent, uid, gid, pid);
  }

  #header(
    op: OpcodeName,
    nodeid: number,
    unique: number,
    isResent: boolean,
    uid: number,
    gid: number,
    pid: number,
  ): void {
    this.#at = 4;
    this.#words[1] = Opcode[op];
    this.#words[2] = unique;
    this.#words[3] = (unique / TWO_32) | (isResent ? RESEND_BIT : 0);
    this.#at = 16;
    this.#u64(nodeid);
    this.#u32(uid, gid, pid, 0);
  }

  #end(): number {
    this.#words[0] = this.#at;
    return this.#at;
  }

  #u32(...values: number[]): void {
    for (const value of values) {
      this.#words[this.#at >>> 2] = value;
      this.#at += 4;
    }
  }

  #u64(value: number): void {
    this.#words[this.#at >>> 2] = value;
    this.#words[(this.#at >>> 2) + 1] = value / TWO_32;
    this.#at += 8;
  }

  #name(name: string): void {
    this.#at += this.#text.write(name, this.#at, 'latin1');
    this.#text[this.#at++] = 0;
  }

  #payload(request: SimRequest): void {
    const { op, name, other, target, fh, offset, size, mode, flags } = request;
    switch (op) {
      case 'FUSE_LOOKUP':
      case 'FUSE_UNLINK':
      case 'FUSE_RMDIR':
      case 'FUSE_REMOVEXATTR':
        return this.#name(name);
      case 'FUSE_GETATTR':
        return this.#u32(0, 0, 0, 0);
      case 'FUSE_SETATTR':
        this.#u32(request.valid, 0, 0, 0);
        this.#u64(size);
        this.#u32(0, 0, 0, 0, 0, 0, 0, 0);
        return this.#u32(0, 0, 0, mode, 0, request.newUid, request.newGid, 0);
      case 'FUSE_MKDIR':
        this.#u32(mode, 0);
        return this.#name(name);
      case 'FUSE_MKNOD':
        this.#u32(mode, 0, 0, 0);
        return this.#name(name);
      case 'FUSE_SYMLINK':
        this.#name(name);
        return this.#name(other);
      case 'FUSE_LINK':
        this.#u64(target);
        return this.#name(name);
      case 'FUSE_RENAME2':
        this.#u64(target);
        this.#u32(flags, 0);
        this.#name(name);
        return this.#name(other);
      case 'FUSE_OPEN':
      case 'FUSE_OPENDIR':
        return this.#u32(flags, 0);
      case 'FUSE_CREATE':
        this.#u32(flags, mode, 0, 0);
        return this.#name(name);
      case 'FUSE_READ':
      case 'FUSE_READDIR':
        this.#u64(fh);
        this.#u64(offset);
        return this.#u32(size, FUSE_READ_LOCKOWNER, 0, 0, flags, 0);
      case 'FUSE_WRITE':
        this.#u64(fh);
        this.#u64(offset);
        this.#u32(request.data.length, 0, 0, 0, flags, 0);
        this.#at += this.#text.write(request.data, this.#at, 'latin1');
        return;
      case 'FUSE_RELEASE':
      case 'FUSE_RELEASEDIR':
        this.#u64(fh);
        return this.#u32(0, 0, 0, 0);
      case 'FUSE_FSYNC':
        this.#u64(fh);
        return this.#u32(0, 0);
      case 'FUSE_SETXATTR':
        this.#u32(request.data.length, flags);
        this.#name(name);
        this.#at += this.#text.write(request.data, this.#at, 'latin1');
        return;
      case 'FUSE_GETXATTR':
        this.#u32(size, 0);
        return this.#name(name);
      case 'FUSE_LISTXATTR':
        return this.#u32(size, 0);
      case 'FUSE_POLL':
        this.#u64(fh);
        this.#u64(target);
        return this.#u32(FUSE_POLL_SCHEDULE_NOTIFY, flags);
      case 'FUSE_READLINK':
      case 'FUSE_STATFS':
        return;
      default:
        throw new Error(`the simulated kernel sends no ${op}`);
    }
  }
}

/** The number of bytes of a request's header. */
export { HEADER_BYTES };
