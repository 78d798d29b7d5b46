/**
 * Random operations on directories, files, streams and quotas, with the charge that each must
 * cause.
 */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { EventFile } from '../../../../fs/tree/nodes/event-file.js';
import {
  HANDLE_BYTES,
  PARKED_READ_BYTES,
  QUEUE_STREAM_PRICE,
  streamPrice,
  textHeap,
} from '../../../../fs/tree/prices.js';
import { UNCHARGED } from '../../../../fs/drivers/devfuse/handlers/directories.js';
import { StreamHandle } from '../../../../fs/tree/streams/stream-handle.js';
import type { ProcessDirectory } from '../../../../fs/tree/nodes/process-directory.js';
import { WrittenEvent } from '../../../../fs/tree/written/written-event.js';
import type { Overflow, QueueLimits } from '../../../../fs/bus/queue.js';
import { Child } from '../../../support/memory/child.js';
import { type By, type Pending, Refused } from '../../../support/memory/connection.js';
import { MemoryKernel, O_RDWR, cstring } from '../../../support/memory/kernel.js';
import { encode } from '../../fuse/structs.js';
import {
  FATTR,
  S_IFIFO,
  STICKY,
  type Cost,
  accountsOf,
  byOf,
  quotasOf,
  recount,
} from './ledger.js';
import type { QuotaAccount } from '../../../../fs/tree/quota/account.js';

/** One operation; the numbers choose among the existing objects. */
interface Step {
  readonly do: (typeof ACTIONS)[number];
  readonly which: number;
  readonly other: number;
  readonly amount: number;
}

const ACTIONS = [
  'mkdir',
  'mkdir',
  'mkdir',
  'create',
  'create',
  'create',
  'create',
  'write',
  'write',
  'truncate',
  'link',
  'link',
  'unlink',
  'pop',
  'rename',
  'rename',
  'chown',
  'event',
  'event',
  'event',
  'loss',
  'fifo',
  'symlink',
  'symlink',
  'unsticky',
  'sticky',
  'openStream',
  'openQueue',
  'openQueue',
  'read',
  'read',
  'wait',
  'wait',
  'openFile',
  'openFile',
  'openText',
  'opendir',
  'publish',
  'filter',
  'close',
  'close',
  'close',
  'close',
  'rmdir',
  'die',
  'quotas',
  'limits',
  'forget',
] as const;

/** A random operation. */
export const step: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom(...ACTIONS),
  which: fc.nat(9999),
  other: fc.nat(9999),
  amount: fc.nat(9999),
});

/** A kernel in memory, and the charges of the operations so far. */
export class World {
  readonly kernel = MemoryKernel.started({ log: { bytes: 64 * 1024, events: 256 } });
  children: Child[] = [];
  /** The open streams by file handle, with their accounts. */
  readonly streams = new Map<number, QuotaAccount>();
  readonly files = new Map<number, WrittenEvent>();
  /** Other open files. */
  readonly others = new Map<number, string>();
  /** The charge of each open file. */
  readonly costs = new Map<number, Cost>();
  /** The reads that may wait, with their charges. */
  readonly reads = new Map<Pending, Cost>();
  readonly written = new Set<WrittenEvent>();
  refusals = 0;
  #serial = 0;
  #seqnum = 0;

  get directories(): ProcessDirectory[] {
    return [...this.kernel.tree.root.directories];
  }

  /** Returns the element at `which`, counted around. */
  pick<T>(all: readonly T[], which: number): T | undefined {
    return all[which % all.length];
  }

  /** Performs an operation; a refusal is counted. */
  async perform(one: Step): Promise<void> {
    if (one.do === 'die') return one.other % 2 === 0 ? this.die(one.which) : undefined;
    try {
      this.#act(one);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.code === 'EDQUOT' || error.code === 'ENOSPC') this.refusals++;
      else
        assert.ok(
          [
            'EEXIST',
            'ENOTEMPTY',
            'ENOENT',
            'EPERM',
            'ESTALE',
            'EFBIG',
            'EBADF',
            'ENODATA',
            'EISDIR',
            'ENFILE',
            ...(one.do === 'filter' ? ['EINVAL'] : []),
          ].includes(error.code),
          `${one.do}: ${error.code}`,
        );
    }
  }

  /** Kills an owner. Its handles stay open, as other processes may hold them. */
  async die(which: number): Promise<void> {
    const child = this.pick(this.children, which);
    if (child === undefined) return;
    this.children = this.children.filter((other) => other !== child);
    await child.die();
  }

  #by(child: Child, which: number): By {
    return { pid: child.pid, uid: 1000 + (which % 3), gid: 100 + (which % 2) };
  }

  #act({ do: what, which, other, amount }: Step): void {
    const { kernel } = this;
    if (what === 'mkdir') {
      if (this.children.length < 4) this.children.push(new Child());
      const child = this.pick(this.children, which)!;
      kernel.mkdir(`d${this.#serial++}`, this.#by(child, other), 0o777);
      return;
    }
    if (what === 'event') return kernel.event(++this.#seqnum, `PAD=${'x'.repeat(amount % 60)}\n`);
    if (what === 'loss') return kernel.bus.publishLoss(amount + 1);
    if (what === 'quotas') return this.#setQuotas(which, amount);
    if (what === 'limits')
      return kernel.tree.configure({ queueLimits: this.#limits(which, amount) });
    if (what === 'forget')
      return kernel.batchForget(
        [...kernel.known]
          .filter((_, n) => n % 3 === 0)
          .map(([nodeid, nlookup]) => ({ nodeid, nlookup })),
      );
    if (what === 'close') return this.#close(which);
    if (what === 'wait') return this.#wait(which, other);
    if (what === 'publish') return this.#publish(which, other, amount);
    if (what === 'write' || what === 'read') return this.#useHandle(what, which, amount);
    if (what === 'openStream') {
      return this.#openStream(kernel.walk(which % 2 === 0 ? 'stream' : 'match/A==b'), other);
    }
    const directory = this.pick(this.directories, which);
    if (directory === undefined) return;
    const node = kernel.lookup(1, directory.name).nodeid;
    this.#inDirectory(what, directory, node, other, amount);
  }

  #inDirectory(
    what: Step['do'],
    directory: ProcessDirectory,
    node: number,
    other: number,
    amount: number,
  ): void {
    const { kernel } = this;
    const names = kernel.names(node);
    const name = this.pick(names, amount) ?? 'none';
    const newName = ['a', 'b', 'c', `n${this.#serial++}`][amount % 4];
    const to = kernel.lookup(1, this.pick(this.directories, other)!.name).nodeid;
    const on = {
      create: () => this.#create(node, newName, other),
      rmdir: () => kernel.rmdir(directory.name),
    } as Partial<Record<Step['do'], () => unknown>>;
    Object.assign(on, {
      truncate: () =>
        kernel.setattr(kernel.lookup(node, name).nodeid, {
          valid: FATTR.size,
          size: (amount * 7) % 400,
        }),
      link: () => kernel.link(kernel.lookup(node, name).nodeid, to, newName),
      unlink: () => kernel.unlink(node, name),
      pop: () => kernel.unlink(node, other % 2 === 0 ? 'head' : 'tail'),
      rename: () => kernel.rename(node, name, to, newName),
      chown: () =>
        kernel.setattr(node, {
          valid: FATTR.uid | FATTR.gid,
          uid: 1000 + (other % 3),
          gid: 100 + (amount % 2),
        }),
      fifo: () => kernel.mknod(node, newName, S_IFIFO),
      symlink: () => kernel.symlink(node, newName, 't'.repeat(1 + (amount % 300))),
      sticky: () =>
        kernel.ask('FUSE_SETXATTR', node, Buffer.concat([Buffer.alloc(8), cstring(STICKY)])),
      unsticky: () => kernel.ask('FUSE_REMOVEXATTR', node, cstring(STICKY)),
      openQueue: () => this.#openStream(kernel.lookup(node, '.stream').nodeid, other),
      openFile: () => this.#openFile(kernel.lookup(node, name).nodeid, other),
      openText: () =>
        this.#openText(
          kernel.lookup(node, ['.status', '.filter', '.since'][amount % 3]).nodeid,
          other,
        ),
      opendir: () => this.#opendir(node, other),
      filter: () =>
        amount % 2 === 0 ? this.#setFilter(node, amount) : this.#writeFilter(node, amount),
    });
    on[what]!();
  }

  #create(node: number, name: string, other: number): void {
    const by = { uid: 1000 + (other % 3), gid: 100 };
    const { nodeid, fh } = this.kernel.create(node, name, O_RDWR, 0o666, by);
    this.costs.set(fh, { by, held: () => ({ memory: HANDLE_BYTES }) });
    const { event } = this.kernel.tree.node(nodeid as never) as EventFile;
    this.written.add(event as WrittenEvent);
    this.files.set(fh, event as WrittenEvent);
    if (other % 3 > 0) this.#close(this.files.size - 1, this.files);
  }

  #openFile(nodeid: number, other: number): void {
    const node = this.kernel.tree.node(nodeid as never);
    if (!(node instanceof EventFile)) return;
    const by = byOf(other);
    const { event } = node;
    const memory = HANDLE_BYTES + (event instanceof WrittenEvent ? 0 : event.length);
    const fh = this.kernel.open(nodeid, event instanceof WrittenEvent ? O_RDWR : 0, by);
    if (event instanceof WrittenEvent) this.files.set(fh, event);
    else this.others.set(fh, 'a delivered event');
    this.costs.set(fh, { by, held: () => ({ memory }) });
  }

  #openText(nodeid: number, other: number): void {
    const by = byOf(other);
    const fh = this.kernel.open(nodeid, 0, by);
    const { name } = this.kernel.tree.node(nodeid as never) as unknown as { name: string };
    const memory = HANDLE_BYTES + (name === '.status' ? textHeap(this.kernel.read(fh).length) : 0);
    this.others.set(fh, name);
    this.costs.set(fh, { by, held: () => ({ memory }) });
  }

  #opendir(nodeid: number, other: number): void {
    const by = byOf(other);
    const fh = this.kernel.opendir(nodeid, by);
    if (fh === UNCHARGED) return this.kernel.releasedir(fh);
    this.others.set(fh, 'directory');
    this.costs.set(fh, { by, held: () => ({ memory: HANDLE_BYTES }) });
  }

  /** Writes a header, and leaves the event unfinished. */
  #publish(which: number, other: number, amount: number): void {
    const by = byOf(other);
    const fh = this.kernel.open(this.kernel.walk('publish'), 1, by);
    const text = `add@/${'p'.repeat(amount % 50)}`;
    let memory = HANDLE_BYTES;
    this.others.set(fh, 'publish');
    this.costs.set(fh, { by, held: () => ({ memory }) });
    this.kernel.write(fh, text);
    memory += textHeap(text.length);
    if (which % 2 > 0) return;
    this.kernel.write(fh, 'A=b\n');
    memory += 'A=b\n'.length + 1;
  }

  #writeFilter(node: number, amount: number): void {
    const { kernel } = this;
    kernel.put(
      kernel.lookup(node, '.filter').nodeid,
      ['', 'SUBSYSTEM!=none\n', 'PAD==*x*|""\n', 'A==\n'][amount % 4],
    );
  }

  #setFilter(node: number, amount: number): void {
    const filter = amount % 3 === 0 ? '' : `A==${'f'.repeat(amount % 20)}*`;
    const payload = Buffer.alloc(8);
    payload.writeUInt32LE(filter.length, 0);
    this.kernel.ask(
      'FUSE_SETXATTR',
      node,
      Buffer.concat([payload, cstring('user.eventfs.filter'), Buffer.from(filter)]),
    );
  }

  #wait(which: number, other: number): void {
    const fh = this.pick([...this.streams.keys()], which);
    if (fh === undefined) return;
    const by = byOf(other);
    const read = this.kernel.startRead(fh, 20 + (which % 300), { ...by, pid: process.pid });
    this.reads.set(read, {
      by,
      held: () => (read.answer === null ? { reads: 1, memory: PARKED_READ_BYTES } : {}),
    });
  }

  #openStream(nodeid: number, other: number): void {
    const by = byOf(other);
    const fh = this.kernel.open(nodeid, 0, by);
    this.streams.set(fh, by as QuotaAccount);
    const handle = this.kernel.tree.handle(fh as never);
    const own =
      handle instanceof StreamHandle
        ? streamPrice(handle.group.filter, this.kernel.bus.log.limits.events)
        : QUEUE_STREAM_PRICE;
    const restHeap = (rest: number): number => (rest === 0 ? 0 : textHeap(rest));
    this.costs.set(fh, {
      by,
      held: () => ({
        streams: 1,
        memory: HANDLE_BYTES + own.memory + restHeap(handle.restLength),
        filter_cost: own.filter_cost,
      }),
    });
  }

  #close(
    which: number,
    among: Map<number, unknown> = [this.streams, this.files, this.others][which % 3],
  ): void {
    const fh = this.pick([...among.keys()], which);
    if (fh === undefined) return;
    among.delete(fh);
    this.#release(fh);
  }

  #release(fh: number): void {
    for (const read of this.reads.keys()) {
      if (read.answer === null && read.fh === fh)
        this.kernel.tell('FUSE_INTERRUPT', 0, encode('fuse_interrupt_in', { unique: read.unique }));
      if (read.answer !== null) this.reads.delete(read);
    }
    this.costs.delete(fh);
    this.kernel.release(fh);
  }

  #useHandle(what: 'read' | 'write', which: number, amount: number): void {
    if (what === 'write') {
      const fh = this.pick([...this.files.keys()], which);
      if (fh !== undefined) this.kernel.write(fh, 'y'.repeat(amount % 90), amount % 200);
      return;
    }
    const fh = this.pick([...this.streams.keys()], which);
    if (fh === undefined) return;
    const answer = this.kernel.try(
      'FUSE_READ',
      0,
      encode('fuse_read_in', { fh, size: 50 + (amount % 500), flags: 0o4000, read_flags: 2 }),
    );
    assert.ok([0, 11, 116, 28, 122].includes(answer.errno), `read: ${answer.errno}`);
  }

  #setQuotas(which: number, amount: number): void {
    const memory = 10_000 + 40 * (amount % 2000);
    const bounds = {
      directories: 3 + (which % 5),
      streams: 2 + (which % 4),
      reads: which % 4,
      events: 4 + (amount % 40),
      bytes: 200 + amount,
      memory,
      filter_cost: 2 + (amount % 500),
    };
    const gid = { events: 10 + (amount % 60), directories: 8, bytes: 3000, streams: 6 };
    this.kernel.tree.ledger.setQuotas(
      quotasOf(bounds, gid, { events: 60 + (which % 60), directories: 14 }),
    );
  }

  #limits(which: number, amount: number): QueueLimits {
    return {
      events: 1 + (amount % 20),
      bytes: 100 + amount,
      overflow: (['drop-oldest', 'drop-newest', 'refuse'] as const satisfies Overflow[])[which % 3],
    };
  }

  /** Compares the ledger with a recount. */
  check(): void {
    this.kernel.drain(); // as before every request
    assert.equal(
      accountsOf(this.kernel),
      recount(this.kernel, [...this.costs.values(), ...this.reads.values()], this.written),
    );
  }

  /** Kills every owner and closes every file. */
  async end(): Promise<void> {
    for (const child of this.children) await child.die();
    this.kernel.drain();
    for (const { name, id } of this.directories) {
      this.kernel.tree.remember(this.kernel.tree.root.lookup(name)!);
      this.kernel.ask('FUSE_REMOVEXATTR', id, cstring(STICKY));
    }
    for (const fh of [...this.streams.keys(), ...this.files.keys(), ...this.others.keys()])
      this.#release(fh);
    this.kernel.close();
  }
}
