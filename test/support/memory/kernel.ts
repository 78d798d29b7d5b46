/**
 * A kernel in memory: the system calls of a mount as requests to the tree. There is no mount and no
 * channel; only owners are real processes.
 *
 * It keeps the kernel's guarantees: it releases a handle once, and not while a read on it waits; it
 * forgets a node as often as it was told of it.
 */
import * as assert from 'uvu/assert';
import { errnoName } from '../../../fs/shared/errors.js';
import { UeventText } from '../../../fs/uevent/text.js';
import {
  FUSE_KERNEL_VERSION,
  FUSE_POLL_SCHEDULE_NOTIFY,
  FUSE_READ_LOCKOWNER,
  FUSE_ROOT_ID,
} from '../../../fs/fuse/abi.js';
import { type StructName, type Values, decode, encode, sizeOf } from '../../unit/fuse/structs.js';
import {
  MemoryConnection,
  Refused,
  type By,
  type KernelOptions,
  type Pending,
} from './connection.js';

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;

/** One entry of a FUSE_READDIR reply. */
interface DirectoryEntry {
  readonly ino: number;
  readonly off: number;
  readonly type: number;
  readonly name: string;
}

/** A kernel on one connection, without a mount. */
export class MemoryKernel extends MemoryConnection {
  /** The lookup count of each node: how often it was returned, less how often it was forgotten. */
  readonly known = new Map<number, number>();
  readonly #text = new UeventText();

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
  rmdir(name: string, parent = FUSE_ROOT_ID as number, by: By = {}): void {
    assert.is(this.ask('FUSE_RMDIR', parent, cstring(name), by).length, 0);
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
    const answer = this.makeRead(fh, size, offset, flags).answer;
    assert.ok(answer !== null, 'the read waits');
    if (answer.errno !== 0) throw new Refused(errnoName(answer.errno));
    return answer.body.toString('latin1');
  }

  /** Makes a read into the page cache, as sendfile(2) and page faults do. */
  readIntoCache(fh: number, size = 4096): string {
    const { result } = this.makeRead(fh, size, 0, 0, 0);
    assert.is.not(result, undefined, 'the read waits');
    return result!;
  }

  /** Makes a read that may wait. */
  startRead(fh: number, size = 65536, by: By = {}, offset = 0, flags = 0): Pending {
    return this.makeRead(fh, size, offset, flags, FUSE_READ_LOCKOWNER, by);
  }

  /**
   * Makes write(2).
   * @param text one character for each byte
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

  /**
   * Makes one getdents64(2), with the entries that fit `size` bytes.
   * @param nodeid the directory's: the daemon needs it if the directory is open without a charge
   */
  readdir(fh: number, offset = 0, size = 4096, nodeid = 0): DirectoryEntry[] {
    const body = this.ask('FUSE_READDIR', nodeid, encode('fuse_read_in', { fh, offset, size }));
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
  names(nodeid: number, size = 4096, by: By = {}): string[] {
    const fh = this.opendir(nodeid, by);
    const names: string[] = [];
    for (
      let got = this.readdir(fh, 0, size, nodeid);
      got.length > 0;
      got = this.readdir(fh, got[got.length - 1].off, size, nodeid)
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
    this.#text.readPublished(Buffer.from(data, 'latin1'), 0, data.length);
    this.bus.publishKernel(this.#text);
    this.bus.settleLater();
    if (this.settles) this.settle();
  }

  /** Returns a number of `log/`'s `.status`, without a request. */
  status(key: string): number {
    return Number(this.tree.statusLines().find(([name]) => name === key)![1]);
  }

  /** Counts that must be 0 once no client holds anything any more. */
  get counts(): Record<string, number> {
    const groups = [...this.tree.streams.groups.values()];
    return {
      directories: this.tree.root.directories.size,
      owners: this.owners.size,
      handles: this.status('HANDLES'),
      parked: this.parked.size,
      unanswered: this.unanswered,
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

/** Returns a name and its NUL, one character for each byte. */
export function cstring(name: string): Buffer {
  return Buffer.from(`${name}\0`, 'latin1');
}
