/**
 * A kernel in memory: it writes requests as /dev/fuse would, passes them to Session and the tree's
 * handlers as drivers/devfuse/devfuse.ts does, and reads the replies. There is no mount and no
 * channel; only owners are real processes.
 *
 * It keeps the kernel's guarantees: it releases a handle once, and not while a read on it waits; it
 * forgets a node as often as it was told of it. It checks the daemon's with every reply: one reply
 * for each request, of the length in its header, with the request's `unique`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import * as assert from 'uvu/assert';
import { ControlWord } from '#native';
import { treeHandlers } from '../../fs/drivers/devfuse/handlers/handlers.js';
import { InotifyHelperHandlers } from '../../fs/drivers/devfuse/handlers/inotify-helper.js';
import type { Reads } from '../../fs/drivers/devfuse/handlers/reads.js';
import { ParkedReads } from '../../fs/drivers/devfuse/parked-reads.js';
import { ReplySink } from '../../fs/drivers/devfuse/reply-sink.js';
import { TracedPort } from '../../fs/drivers/devfuse/traced-port.js';
import { Errno, FsError, errnoName } from '../../fs/shared/errors.js';
import { Bus } from '../../fs/bus/bus.js';
import { Log } from '../../fs/bus/log.js';
import { IdAllocator } from '../../fs/shared/id-allocator.js';
import type { Sink } from '../../fs/bus/sink.js';
import { UeventText } from '../../fs/uevent/text.js';
import {
  FUSE_KERNEL_VERSION,
  FUSE_NOTIFY_POLL,
  FUSE_POLL_SCHEDULE_NOTIFY,
  FUSE_READ_LOCKOWNER,
  FUSE_ROOT_ID,
  Opcode,
} from '../../fs/fuse/abi.js';
import { RequestTracer } from '../../fs/fuse/describe/request-tracer.js';
import { REPLY_BYTES, REQUEST_BYTES, Session } from '../../fs/fuse/session.js';
import { Owners } from '../../fs/owners/owners.js';
import { type ReplyPort, interruptRead } from '../../fs/tree/ports.js';
import type { TraceLine } from '../../fs/shared/trace.js';
import type { Handle, NodeId, ParkedRead } from '../../fs/tree/nodes/node.js';
import { Tree } from '../../fs/tree/tree.js';
import { collecting } from './logger.js';
import { type StructName, type Values, decode, encode, sizeOf } from '../unit/fuse/structs.js';

export type OpcodeName = keyof typeof Opcode;

/** The caller of a request; by default this process as root. */
export interface By {
  readonly pid?: number;
  readonly uid?: number;
  readonly gid?: number;
}

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;

/** The error of a request that the session refused, by the errno's name. */
export class Refused extends Error {
  constructor(readonly code: string) {
    super(code);
  }
}

/** The answer to a request; `body` follows the header. */
export interface Answer {
  /** 0, or the positive errno. */
  readonly errno: number;
  readonly body: Buffer;
}

/** A read(2) that may still wait. */
export class Pending {
  answer: Answer | null = null;

  constructor(
    readonly unique: number,
    readonly fh: number,
  ) {}

  /**
   * The bytes read, one a character; the errno's name if the read failed, undefined while it waits.
   */
  get result(): string | undefined {
    if (this.answer === null) return undefined;
    return this.answer.errno === 0
      ? this.answer.body.toString('latin1')
      : errnoName(this.answer.errno);
  }
}

/** One entry of a FUSE_READDIR reply. */
export interface DirectoryEntry {
  readonly ino: number;
  readonly off: number;
  readonly type: number;
  readonly name: string;
}

const OUT_HEADER_BYTES = sizeOf('fuse_out_header');
const MOST_DATA = REPLY_BYTES - 4096;

/** The sizes of a kernel's log, of its table of parked reads and of its history. */
export interface KernelOptions {
  readonly log?: { bytes: number; events: number };
  readonly mostParked?: number;
  /** The limits of the history that the bus keeps for `.since`. */
  readonly history?: { bytes: number; events: number };
}

/** The kernel's side of one connection, without a mount. */
export class MemoryKernel implements ReplyPort, Reads {
  readonly owners = new Owners();
  readonly bus: Bus;
  readonly tree: Tree;
  readonly session: Session;
  readonly parked: ParkedReads;
  /** The session's messages about unexpected events. */
  readonly complaints: string[] = [];
  /** The tree's messages that no system call's result can carry. */
  readonly said: string[] = [];
  /** The poll keys that NOTIFY_POLL has named. */
  readonly wakeUps: number[] = [];
  /** The number of reads in each answer to blocked reads. */
  readonly batches: number[] = [];
  /** The lookup count of each node: how often it was returned, less how often it was forgotten. */
  readonly known = new Map<number, number>();
  ending = false;
  /** Whether blocked reads are answered after each request; otherwise only by `settle`. */
  settles = true;
  #unsettled = false;
  readonly #sink: ReplySink;
  readonly #control = new Uint32Array(ControlWord.count);
  /** The requests that have no reply yet, by `unique`. */
  readonly #open = new Map<number, Pending | null>();
  /** The high word is not 0, so that code that looks only at the low word fails. */
  #unique = 2 ** 34;

  constructor(options: KernelOptions = {}) {
    this.bus = new Bus(
      new Log(options.log ?? { bytes: 1024 * 1024, events: 4096 }),
      new IdAllocator(FUSE_ROOT_ID),
      options.history,
    );
    this.tree = new Tree(this.bus, this.owners, collecting(this.said));
    this.parked = new ParkedReads(options.mostParked ?? 1024, this.tree.ledger);
    const reply = new Uint8Array(REPLY_BYTES);
    this.#sink = new ReplySink(reply, this.bus.log.memory, this.#control);
    const handlers = treeHandlers(this.tree, this);
    const helper = new InotifyHelperHandlers(this.tree, handlers);
    this.session = new Session(
      new Uint8Array(REQUEST_BYTES),
      reply,
      handlers,
      collecting(this.complaints),
      helper,
    );
    this.tree.attach(this, () => (this.#unsettled = true));
  }

  /** Returns a kernel that has negotiated by FUSE_INIT. */
  static started(options: KernelOptions = {}): MemoryKernel {
    const kernel = new MemoryKernel(options);
    const offer = encode('fuse_init_in', {
      major: FUSE_KERNEL_VERSION,
      minor: 45,
      flags: 0xffffffff,
    });
    kernel.ask('FUSE_INIT', 0, offer);
    return kernel;
  }

  /** Traces each request from now on. */
  traceTo(line: TraceLine): void {
    const tracer = new RequestTracer(line, (parent, name) =>
      this.tree.whyNotFound(parent as NodeId, name),
    );
    this.session.traceTo(tracer);
    this.tree.attach(
      new TracedPort(this, this.parked.uniques, tracer),
      () => (this.#unsettled = true),
    );
  }

  /** Closes the owners' pidfds. */
  close(): void {
    this.owners.close();
  }

  // ---- Reads and ReplyPort, as in drivers/devfuse/blocking-reads.ts, with memory as the channel

  sink(size: number): ReplySink {
    return this.#sink.begin(Math.min(size, MOST_DATA));
  }

  get holds(): boolean {
    return this.#unsettled;
  }

  park(handle: Handle, size: number): ParkedRead {
    const words = new Uint32Array(this.session.request.bytes.buffer);
    const read = this.parked.park(words, handle, size);
    if (read === undefined) throw new FsError(Errno.EAGAIN, 'too many reads wait');
    const unique = this.#uniqueOf(read);
    if (!this.#open.has(unique)) this.#open.set(unique, null);
    return read;
  }

  streamOpened(): void {}

  interrupt(uniqueLow: number, uniqueHigh: number): void {
    const read = this.parked.find(uniqueLow, uniqueHigh);
    if (read === undefined) return;
    interruptRead(this.tree.port, read);
  }

  begin(size: number): Sink {
    return this.sink(size);
  }

  answer(reads: readonly ParkedRead[]): void {
    this.#sink.end();
    const body = this.#withSlice(
      this.session.reply.bytes.slice(OUT_HEADER_BYTES, OUT_HEADER_BYTES + this.#sink.copied),
    );
    assert.ok(reads.length > 0, 'an answer for nobody');
    this.batches.push(reads.length);
    for (const read of reads) {
      assert.ok(body.length <= read.size, `${body.length} bytes for a read of ${read.size}`);
      this.#finish(this.#uniqueOf(read), { errno: 0, body });
      this.parked.noteShort(read, body.length);
      this.parked.free(read);
    }
  }

  /** Does nothing: each answer is sent at once. */
  cork(): void {}
  uncork(): void {}

  fail(read: ParkedRead, errno: number): void {
    this.#finish(this.#uniqueOf(read), { errno, body: Buffer.alloc(0) });
    this.parked.free(read);
  }

  wake(handle: Handle): void {
    const length = this.session.reply.pollWakeup(handle.pollKeyLow, handle.pollKeyHigh);
    const sent = Buffer.from(this.session.reply.bytes.slice(0, length));
    assert.equal(decode('fuse_out_header', sent), {
      len: length,
      error: FUSE_NOTIFY_POLL,
      unique: 0,
    });
    this.wakeUps.push(decode('fuse_notify_poll_wakeup_out', sent, OUT_HEADER_BYTES).kh);
  }

  #uniqueOf(read: ParkedRead): number {
    return Number(Buffer.from(this.parked.uniques.buffer).readBigUInt64LE(read.slot * 8));
  }

  /** Appends the slice of the log, as the channel would, and sets its control word back. */
  #withSlice(copied: Uint8Array): Buffer {
    const start = this.#control[ControlWord.sliceStart];
    const length = this.#control[ControlWord.sliceLength];
    this.#control[ControlWord.sliceLength] = 0;
    assert.ok(start + length <= this.bus.log.memory.length);
    return Buffer.concat([copied, this.bus.log.memory.subarray(start, start + length)]);
  }

  #finish(unique: number, answer: Answer): void {
    assert.ok(
      this.#open.has(unique),
      `a second answer to request ${unique}, or one that nobody asked for`,
    );
    const pending = this.#open.get(unique) ?? null;
    this.#open.delete(unique);
    if (pending !== null) pending.answer = answer;
  }

  // ---- requests

  /** Drains the deaths, and frees the memory that the tree would free in later turns. */
  drain(): void {
    this.owners.watch.drain();
    this.tree.turns.finish();
  }

  /**
   * Passes the bytes of one request unchanged to the session, after the deaths that came before it.
   * Then it answers blocked reads, if `settles`.
   * @returns the reply, or null if there is none
   */
  raw(request: Uint8Array): Buffer | null {
    this.session.request.bytes.set(request);
    this.drain();
    const length = this.session.dispatch(request.length);
    assert.ok(length === 0 || length >= OUT_HEADER_BYTES, `a reply of ${length} bytes`);
    if (length === 0)
      assert.is(this.#control[ControlWord.sliceLength], 0, 'a slice without a reply');
    const reply = length === 0 ? null : this.#withSlice(this.session.reply.bytes.slice(0, length));
    if (reply !== null) {
      const { len, error, unique } = decode('fuse_out_header', reply);
      assert.is(len, reply.length);
      assert.ok(error <= 0 && error > -512, `error ${error}`);
      assert.ok(error === 0 || len === OUT_HEADER_BYTES, 'an error with something behind it');
      assert.is(unique, decode('fuse_in_header', Buffer.from(request)).unique);
    }
    if (this.settles) this.settle();
    return reply;
  }

  /** Wakes blocked readers, as the channel does once it has answered a run of requests. */
  settle(): void {
    while (this.#unsettled) {
      this.#unsettled = false;
      this.bus.settleSome();
    }
  }

  /**
   * Returns the bytes of a request.
   * @param unique a new one by default
   */
  request(
    opcode: OpcodeName | number,
    nodeid: number,
    payload: Uint8Array,
    by: By = {},
    unique = this.nextUnique(),
  ): Buffer {
    const header = encode('fuse_in_header', {
      len: sizeOf('fuse_in_header') + payload.length,
      opcode: typeof opcode === 'number' ? opcode : Opcode[opcode],
      unique,
      nodeid,
      uid: by.uid ?? 0,
      gid: by.gid ?? 0,
      pid: by.pid ?? process.pid,
    });
    return Buffer.concat([header, payload]);
  }

  /** Returns a new `unique`. It is even, as the kernel's are. */
  nextUnique(): number {
    return (this.#unique += 2);
  }

  /** Makes a request that is answered at once. */
  try(opcode: OpcodeName | number, nodeid: number, payload: Uint8Array, by: By = {}): Answer {
    const reply = this.raw(this.request(opcode, nodeid, payload, by));
    assert.ok(reply !== null, `${opcode} was not answered`);
    return {
      errno: -decode('fuse_out_header', reply).error,
      body: reply.subarray(OUT_HEADER_BYTES),
    };
  }

  /**
   * Makes a request that must succeed.
   * @returns the reply's body
   * @throws Refused with the errno's name
   */
  ask(opcode: OpcodeName | number, nodeid: number, payload: Uint8Array, by: By = {}): Buffer {
    const { errno, body } = this.try(opcode, nodeid, payload, by);
    if (errno !== 0) throw new Refused(errnoName(errno));
    return body;
  }

  /** Makes a request that has no reply. */
  tell(opcode: OpcodeName, nodeid: number, payload: Uint8Array): void {
    assert.is(this.raw(this.request(opcode, nodeid, payload)), null);
  }

  #reply<S extends StructName>(struct: S, body: Buffer, exactly = true): Values<S> {
    if (exactly) assert.is(body.length, sizeOf(struct));
    return decode(struct, body);
  }

  #entry(body: Buffer): Values<'fuse_entry_out'> {
    const entry = this.#reply('fuse_entry_out', body, false);
    this.known.set(entry.nodeid, (this.known.get(entry.nodeid) ?? 0) + 1);
    assert.equal(
      [entry.entry_valid, entry.entry_valid_nsec, entry.attr_valid, entry.attr_valid_nsec],
      [0, 0, 0, 0],
    );
    return entry;
  }

  // ---- system calls, as /dev/fuse sees them

  /** Looks up a name in a directory. */
  lookup(parent: number, name: string): Values<'fuse_entry_out'> {
    const body = this.ask('FUSE_LOOKUP', parent, cstring(name));
    assert.is(body.length, sizeOf('fuse_entry_out'));
    return this.#entry(body);
  }

  /**
   * Looks up a path from the root.
   * @returns the node id
   */
  walk(path: string): number {
    return path
      .split('/')
      .reduce((node, name) => this.lookup(node, name).nodeid, FUSE_ROOT_ID as number);
  }

  /** Makes stat(2) of a node. */
  getattr(nodeid: number): Values<'fuse_attr_out'> {
    return this.#reply(
      'fuse_attr_out',
      this.ask('FUSE_GETATTR', nodeid, encode('fuse_getattr_in', {})),
    );
  }

  /** Changes a node's attributes, as chmod(2), chown(2), truncate(2) and utimensat(2) do. */
  setattr(
    nodeid: number,
    changes: Partial<Values<'fuse_setattr_in'>>,
    by: By = {},
  ): Values<'fuse_attr_out'> {
    return this.#reply(
      'fuse_attr_out',
      this.ask('FUSE_SETATTR', nodeid, encode('fuse_setattr_in', changes), by),
    );
  }

  /** Makes readlink(2) of a node. */
  readlink(nodeid: number): string {
    return this.ask('FUSE_READLINK', nodeid, Buffer.alloc(0)).toString('latin1');
  }

  /**
   * Makes mkdir(2), in the root by default.
   * @returns the node id
   */
  mkdir(name: string, by: By = {}, mode = 0o755, parent = FUSE_ROOT_ID as number): number {
    const body = this.ask(
      'FUSE_MKDIR',
      parent,
      Buffer.concat([encode('fuse_mkdir_in', { mode }), cstring(name)]),
      by,
    );
    assert.is(body.length, sizeOf('fuse_entry_out'));
    return this.#entry(body).nodeid;
  }

  /** Makes unlink(2). */
  unlink(parent: number, name: string): void {
    assert.is(this.ask('FUSE_UNLINK', parent, cstring(name)).length, 0);
  }

  /** Makes rmdir(2), in the root by default. */
  rmdir(name: string, parent = FUSE_ROOT_ID as number): void {
    assert.is(this.ask('FUSE_RMDIR', parent, cstring(name)).length, 0);
  }

  /**
   * Makes mknod(2) of a free name.
   * @returns its node id
   */
  mknod(parent: number, name: string, mode: number, by: By = {}): number {
    return this.#entry(
      this.ask('FUSE_MKNOD', parent, Buffer.concat([words(mode, 0, 0, 0), cstring(name)]), by),
    ).nodeid;
  }

  /**
   * Makes symlink(2) of a free name.
   * @returns its node id
   */
  symlink(parent: number, name: string, target: string, by: By = {}): number {
    return this.#entry(
      this.ask('FUSE_SYMLINK', parent, Buffer.concat([cstring(name), cstring(target)]), by),
    ).nodeid;
  }

  /**
   * Makes link(2) of a node that has been looked up.
   * @returns the node id of the new name
   */
  link(nodeid: number, parent: number, name: string): number {
    const body = this.ask('FUSE_LINK', parent, Buffer.concat([words(nodeid, 0), cstring(name)]));
    assert.is(body.length, sizeOf('fuse_entry_out'));
    return this.#entry(body).nodeid;
  }

  /** Makes renameat2(2). */
  rename(parent: number, name: string, newParent: number, newName: string, flags = 0): void {
    const payload = Buffer.concat([words(newParent, 0, flags, 0), cstring(name), cstring(newName)]);
    assert.is(this.ask('FUSE_RENAME2', parent, payload).length, 0);
  }

  /**
   * Makes open(2) of a node.
   * @returns the handle
   */
  open(nodeid: number, flags = O_RDONLY, by: By = {}): number {
    return this.#reply(
      'fuse_open_out',
      this.ask('FUSE_OPEN', nodeid, encode('fuse_open_in', { flags }), by),
    ).fh;
  }

  /**
   * Makes open(2) with O_CREAT of a free name.
   * @returns the node id and the handle
   */
  create(
    parent: number,
    name: string,
    flags = O_WRONLY,
    mode = 0o644,
    by: By = {},
  ): { nodeid: number; fh: number } {
    const payload = Buffer.concat([
      encode('fuse_create_in', { flags: flags | O_CREAT, mode }),
      cstring(name),
    ]);
    const body = this.ask('FUSE_CREATE', parent, payload, by);
    assert.is(body.length, sizeOf('fuse_entry_out') + sizeOf('fuse_open_out'));
    const { nodeid } = this.#entry(body);
    return { nodeid, fh: decode('fuse_open_out', body, sizeOf('fuse_entry_out')).fh };
  }

  /**
   * Makes a read that is answered at once.
   * @throws Refused with the errno's name
   */
  read(fh: number, size = 65536, offset = 0, flags = 0): string {
    const answer = this.#startRead(fh, size, offset, flags).answer;
    assert.ok(answer !== null, 'the read waits');
    if (answer.errno !== 0) throw new Refused(errnoName(answer.errno));
    return answer.body.toString('latin1');
  }

  /** Makes a read into the page cache, as sendfile(2) and page faults do. */
  readIntoCache(fh: number, size = 4096): string {
    const { result } = this.#startRead(fh, size, 0, 0, 0);
    assert.is.not(result, undefined, 'the read waits');
    return result!;
  }

  /** Makes a read that may wait. */
  startRead(fh: number, size = 65536, by: By = {}, offset = 0, flags = 0): Pending {
    return this.#startRead(fh, size, offset, flags, FUSE_READ_LOCKOWNER, by);
  }

  #startRead(
    fh: number,
    size: number,
    offset: number,
    flags: number,
    readFlags: number = FUSE_READ_LOCKOWNER,
    by: By = {},
  ): Pending {
    const payload = encode('fuse_read_in', { fh, offset, size, flags, read_flags: readFlags });
    const unique = this.nextUnique();
    const pending = new Pending(unique, fh);
    this.#open.set(unique, pending);
    const parkedBefore = this.parked.size;
    const reply = this.raw(this.request('FUSE_READ', 0, payload, by, unique));
    if (reply === null) {
      assert.ok(
        pending.answer !== null || this.parked.size > parkedBefore,
        'the read neither waits nor has an answer',
      );
      return pending;
    }
    const answer = {
      errno: -decode('fuse_out_header', reply).error,
      body: reply.subarray(OUT_HEADER_BYTES),
    };
    assert.ok(answer.body.length <= size, `${answer.body.length} bytes for a read of ${size}`);
    this.#finish(unique, answer);
    return pending;
  }

  /**
   * Makes write(2).
   * @param text one byte a character
   * @param offset in bytes
   * @returns the number of bytes written
   */
  write(fh: number, text: string, offset = 0, flags = 0, by: By = {}): number {
    const data = Buffer.from(text, 'latin1');
    const payload = Buffer.concat([
      encode('fuse_write_in', { fh, offset, size: data.length, flags }),
      data,
    ]);
    return this.#reply('fuse_write_out', this.ask('FUSE_WRITE', 0, payload, by)).size;
  }

  /** Releases a handle, as the last close(2) does. */
  release(fh: number, opcode: 'FUSE_RELEASE' | 'FUSE_RELEASEDIR' = 'FUSE_RELEASE'): void {
    this.ask(opcode, 0, encode('fuse_release_in', { fh }));
  }

  /**
   * Makes opendir(3) of a node.
   * @returns the handle
   */
  opendir(nodeid: number, by: By = {}): number {
    return this.#reply(
      'fuse_open_out',
      this.ask('FUSE_OPENDIR', nodeid, encode('fuse_open_in', {}), by),
    ).fh;
  }

  /** Releases a directory's handle. */
  releasedir(fh: number): void {
    this.release(fh, 'FUSE_RELEASEDIR');
  }

  /** Makes one getdents64(2), with the entries that fit `size` bytes. */
  readdir(fh: number, offset = 0, size = 4096): DirectoryEntry[] {
    const body = this.ask('FUSE_READDIR', 0, encode('fuse_read_in', { fh, offset, size }));
    assert.ok(body.length <= size);
    const entries: DirectoryEntry[] = [];
    for (let at = 0; at < body.length;) {
      const { ino, off, namelen, type } = decode('fuse_dirent', body, at);
      const name = body.toString('latin1', at + 24, at + 24 + namelen);
      const end = at + ((24 + namelen + 7) & ~7);
      assert.ok(end <= body.length, 'an entry is cut');
      assert.ok(namelen > 0 && !/[/\0]/.test(name), 'a name that the kernel refuses');
      entries.push({ ino, off, type, name });
      at = end;
    }
    return entries;
  }

  /** Makes statfs(2). */
  statfs(): Values<'fuse_statfs_out'> {
    return this.#reply('fuse_statfs_out', this.ask('FUSE_STATFS', FUSE_ROOT_ID, Buffer.alloc(0)));
  }

  /**
   * Makes poll(2).
   * @param kh the poll key; if the result is 0, the daemon wakes it later
   * @returns the ready events
   */
  poll(fh: number, kh: number, flags = FUSE_POLL_SCHEDULE_NOTIFY, events = 0, by: By = {}): number {
    return this.#reply(
      'fuse_poll_out',
      this.ask('FUSE_POLL', 0, encode('fuse_poll_in', { fh, kh, flags, events }), by),
    ).revents;
  }

  /** Sends the signal that interrupts a blocked read. */
  interruptRead({ unique }: Pending): void {
    this.tell('FUSE_INTERRUPT', 0, encode('fuse_interrupt_in', { unique }));
  }

  /** Forgets a node `nlookup` times, by default as often as it was returned. */
  forget(nodeid: number, nlookup = this.known.get(nodeid) ?? 0): void {
    this.#forgotten(nodeid, nlookup);
    this.tell('FUSE_FORGET', nodeid, encode('fuse_forget_in', { nlookup }));
  }

  /** Forgets several nodes in one request. */
  batchForget(nodes: readonly { nodeid: number; nlookup: number }[]): void {
    for (const { nodeid, nlookup } of nodes) this.#forgotten(nodeid, nlookup);
    const parts = [
      encode('fuse_batch_forget_in', { count: nodes.length }),
      ...nodes.map((node) => encode('fuse_forget_one', node)),
    ];
    this.tell('FUSE_BATCH_FORGET', 0, Buffer.concat(parts));
  }

  /** Forgets all nodes, as when the kernel needs memory or unmounts. */
  forgetAll(): void {
    const nodes = [...this.known].map(([nodeid, nlookup]) => ({ nodeid, nlookup }));
    if (nodes.length > 0) this.batchForget(nodes);
  }

  #forgotten(nodeid: number, nlookup: number): void {
    const left = (this.known.get(nodeid) ?? 0) - nlookup;
    if (left > 0) this.known.set(nodeid, left);
    else this.known.delete(nodeid);
  }

  // ---- several calls in one

  /**
   * Returns the names in a directory without `.` and `..`, as `ls -f` shows them.
   * @param size the buffer of each getdents64(2), in bytes
   */
  names(nodeid: number, size = 4096): string[] {
    const fh = this.opendir(nodeid);
    const names: string[] = [];
    for (
      let got = this.readdir(fh, 0, size);
      got.length > 0;
      got = this.readdir(fh, got[got.length - 1].off, size)
    ) {
      names.push(...got.map(({ name }) => name).filter((name) => name !== '.' && name !== '..'));
    }
    this.releasedir(fh);
    return names;
  }

  /** Reads a file that does not block, as `cat` does. */
  cat(nodeid: number): string {
    const fh = this.open(nodeid);
    const text = this.read(fh);
    this.release(fh);
    return text;
  }

  /** Writes a file as `printf text > file` does: open with O_TRUNC, one write, close. */
  put(nodeid: number, text: string, flags = O_WRONLY | O_TRUNC): void {
    const fh = this.open(nodeid, flags);
    try {
      this.write(fh, text, 0, flags & O_APPEND);
    } finally {
      this.release(fh);
    }
  }

  /**
   * Makes a file as `printf text > directory/name` does, with a free name.
   * @returns its node id
   */
  make(parent: number, name: string, text: string): number {
    const { nodeid, fh } = this.create(parent, name);
    if (text !== '') this.write(fh, text);
    this.release(fh);
    return nodeid;
  }

  /** Publishes one event of the kernel, and wakes readers if `settles`. */
  event(seqnum: number, more = 'SUBSYSTEM=mem\n'): void {
    this.#publish(`add@/devices/x\nACTION=add\n${more}SEQNUM=${seqnum}\n`);
  }

  #publish(data: string): void {
    const text = new UeventText();
    text.readPublished(Buffer.from(data, 'latin1'), 0, data.length);
    this.bus.publishKernel(text);
    this.bus.settleLater();
    if (this.settles) this.settle();
  }

  /** Returns a number of `log/`'s `.status`, without a request. */
  status(key: string): number {
    return Number(this.tree.statusLines().find(([name]) => name === key)![1]);
  }

  /** Counts that must be 0 once no client holds anything any more. */
  get books(): Record<string, number> {
    const groups = [...this.tree.streams.groups.values()];
    return {
      directories: this.tree.root.directories.size,
      owners: this.owners.size,
      handles: this.status('HANDLES'),
      parked: this.parked.size,
      unanswered: this.#open.size,
      groups: groups.length,
      waiting: groups.reduce((sum, { waiters }) => sum + waiters.size, 0),
      nodes: this.status('NODES') - 1, // the root
      known: this.known.size,
    };
  }
}

/** Returns words of 32 bits as bytes. */
function words(...values: number[]): Buffer {
  return Buffer.from(Uint32Array.from(values).buffer);
}

/** Returns a name and its NUL, one byte a character. */
export function cstring(name: string): Buffer {
  return Buffer.from(`${name}\0`, 'latin1');
}

/**
 * Calls `call`.
 * @returns the errno's name that it is refused with, or 'none'
 */
export function refusal(call: () => unknown): string {
  try {
    call();
    return 'none';
  } catch (error) {
    if (error instanceof Refused) return error.code;
    throw error;
  }
}

const living = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});

/** A process that owns directories. It does nothing until it is killed or this process ends. */
export class Child {
  readonly process: ChildProcess = spawn('sleep', ['1000'], { stdio: 'ignore' });
  alive = true;

  constructor() {
    living.add(this.process);
    this.process.unref(); // a failed test does not wait for it
  }

  get pid(): number {
    return this.process.pid!;
  }

  get by(): By {
    return { pid: this.pid };
  }

  /** Sends SIGKILL; resolves once this process has waited for it, as after waitpid(2). */
  async die(): Promise<void> {
    if (!this.alive) return;
    this.alive = false;
    living.delete(this.process);
    this.process.ref();
    const gone = new Promise((done) => this.process.once('exit', done));
    this.process.kill('SIGKILL');
    await gone;
  }
}
