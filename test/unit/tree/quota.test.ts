/** The ledger: who holds how much, recounted, and who is refused when that is too much. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import type { QuotaAccount } from '../../../fs/tree/quota/account.js';
import { type Bounds, NO_BOUNDS, type Quotas } from '../../../fs/tree/quota/bounds.js';
import { QuotaLedger } from '../../../fs/tree/quota/ledger.js';
import { ITEMS } from '../../../fs/shared/quota-items.js';
import { EventFile } from '../../../fs/tree/nodes/event-file.js';
import {
  HANDLE_BYTES,
  LINK_BYTES,
  PARKED_READ_BYTES,
  QUEUE_STREAM_PRICE,
  WRITTEN_EVENT_BYTES,
  directoryPrice,
  specialHeap,
  streamPrice,
  textHeap,
} from '../../../fs/tree/prices.js';
import { FileType } from '../../../fs/tree/nodes/node.js';
import { StreamHandle } from '../../../fs/tree/streams/streams.js';
import type { ProcessDirectory } from '../../../fs/tree/nodes/process-directory.js';
import { WrittenEvent } from '../../../fs/tree/written-event.js';
import type { Overflow, QueueLimits } from '../../../fs/bus/queue.js';
import { FsError } from '../../../fs/shared/errors.js';
import { cpuMs, runs } from '../../support/budget.js';
import {
  type By,
  Child,
  MemoryKernel,
  type Pending,
  O_RDWR,
  Refused,
  cstring,
  refusal,
} from '../../support/kernel.js';
import { encode } from '../fuse/structs.js';
import { suite } from '../../support/suite.js';

const quota = suite('a quota');

const S_IFIFO = 0o010644;
const FATTR = { uid: 2, gid: 4, size: 8 };
const STICKY = 'user.eventfs_sticky';

function quotasOf(
  uid: Partial<Bounds>,
  gid: Partial<Bounds> = {},
  mount: Partial<Bounds> = {},
): Quotas {
  return {
    mount: { ...NO_BOUNDS, ...mount },
    uid: { others: { ...NO_BOUNDS, ...uid }, of: new Map() },
    gid: { others: { ...NO_BOUNDS, ...gid }, of: new Map() },
  };
}

type Held = Record<(typeof ITEMS)[number], number>;

/** What is charged for something that is open or waits, and to whom. */
interface Cost {
  readonly by: Required<Pick<By, 'uid' | 'gid'>>;
  readonly held: () => Partial<Held>;
}

/** What all have, counted anew: by `uid 1000`, `gid 100` and `mount 0`, without those that have nothing. */
function recount(
  kernel: MemoryKernel,
  costs: Iterable<Cost>,
  written: Iterable<WrittenEvent>,
): Record<string, Held> {
  const held: Record<string, Held> = {};
  const charge = (uid: number, gid: number, more: Partial<Held>): void => {
    for (const who of [`uid ${uid}`, `gid ${gid}`, 'mount 0']) {
      const account = (held[who] ??= Object.fromEntries(ITEMS.map((item) => [item, 0])) as Held);
      for (const item of ITEMS) account[item] += more[item] ?? 0;
    }
  };
  for (const directory of kernel.tree.root.directories) {
    const { uid, gid, queue } = directory;
    const entries = [...queue.entries];
    let listed = -2; // . and ..
    directory.list(0, { add: () => ++listed > -2 });
    const specials = listed - entries.length;
    const memory =
      directoryPrice(directory.name).memory +
      directory.filter.memory +
      (entries.length + specials) * LINK_BYTES +
      listedNames(directory).reduce((sum, name) => sum + name.length, 0) +
      targetsOf(directory) +
      entries.reduce((sum, { event }) => sum + event.heapBytes, 0);
    charge(uid, gid, {
      directories: 1,
      events: entries.length + specials,
      bytes: entries.reduce((sum, { event }) => sum + event.length, 0),
      memory,
      filter_cost: directory.filter.cost,
    });
  }
  for (const { by, held: amounts } of costs) charge(by.uid, by.gid, amounts());
  for (const event of written) {
    if (event.links > 0 || event.opens === 0) continue;
    const { uid, gid } = event.keeper as QuotaAccount;
    charge(uid, gid, { events: 1, bytes: event.length, memory: LINK_BYTES + WRITTEN_EVENT_BYTES });
  }
  return held;
}

function listedNames(directory: ProcessDirectory): string[] {
  const names: string[] = [];
  directory.list(2, { add: (_ino, _type, name) => names.push(name) > 0 });
  return names;
}

/** How long the targets of its symlinks are. */
function targetsOf(directory: ProcessDirectory): number {
  let bytes = 0;
  directory.list(2, {
    add: (_ino, type, name) => {
      if (type === FileType.symlink) bytes += directory.lookup(name)!.readlink().length;
      return true;
    },
  });
  return bytes;
}

/** What the ledger says. */
function books(kernel: MemoryKernel): Record<string, Held> {
  const { ledger } = kernel.tree;
  const accounts = [...ledger.users.values(), ...ledger.groups.values(), ledger.mount].filter(
    ({ isEmpty }) => !isEmpty,
  );
  return Object.fromEntries(
    accounts.map((account) => [
      `${account.kind} ${account.id}`,
      Object.fromEntries(ITEMS.map((item) => [item, account[item]])) as Held,
    ]),
  );
}

/** Who opens or reads something. */
function byOf(which: number): Cost['by'] {
  return { uid: 1000 + (which % 3), gid: 100 + (which % 2) };
}

/** One thing done; the numbers choose among what there is. */
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

const step: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom(...ACTIONS),
  which: fc.nat(9999),
  other: fc.nat(9999),
  amount: fc.nat(9999),
});

class World {
  readonly kernel = MemoryKernel.started({ log: { bytes: 64 * 1024, events: 256 } });
  children: Child[] = [];
  /** What is open, by its file handle: streams where they are charged. */
  readonly streams = new Map<number, QuotaAccount>();
  readonly files = new Map<number, WrittenEvent>();
  /** Other open files. */
  readonly others = new Map<number, string>();
  /** What is charged for each that is open. */
  readonly costs = new Map<number, Cost>();
  /** Reads that may wait, and who reads. */
  readonly reads = new Map<Pending, Cost>();
  readonly written = new Set<WrittenEvent>();
  refusals = 0;
  #serial = 0;
  #seqnum = 0;

  get directories(): ProcessDirectory[] {
    return [...this.kernel.tree.root.directories];
  }

  pick<T>(all: readonly T[], which: number): T | undefined {
    return all[which % all.length];
  }

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

  /** Its handles stay open for now, as others may have them. */
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
    this.others.set(fh, 'directory');
    this.costs.set(fh, { by, held: () => ({ memory: HANDLE_BYTES }) });
  }

  /** A header that may go on. */
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

  check(): void {
    this.kernel.drain(); // as before every request
    assert.equal(
      books(this.kernel),
      recount(this.kernel, [...this.costs.values(), ...this.reads.values()], this.written),
    );
  }

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

/** Does all of it, looks into the books after every `pace` steps, and at the end they must be empty. */
async function live(seed: number, count: number, pace: number): Promise<number> {
  const world = new World();
  const steps = fc.sample(step, { seed, numRuns: count });
  for (const [n, one] of steps.entries()) {
    try {
      await world.perform(one);
      if (n % pace === 0) world.check();
    } catch (error) {
      throw new Error(`seed ${seed}, step ${n}, ${JSON.stringify(one)}: ${String(error)}`, {
        cause: error,
      });
    }
  }
  await world.end();
  assert.equal(books(world.kernel), {});
  assert.equal([world.kernel.tree.ledger.users.size, world.kernel.tree.ledger.groups.size], [0, 0]);
  assert.equal(world.kernel.complaints, []);
  return world.refusals;
}

quota(
  'is back at nothing after 10,000 random operations and deaths',
  async () => {
    assert.ok((await live(7, 10_000, 100)) > 100, 'hardly anybody was refused');
  },
  300_000,
);

quota(
  'has in its books what a recount finds after each operation',
  async () => {
    for (let seed = 1; seed <= runs(4).numRuns; seed++) await live(seed, 700, 1);
  },
  300_000,
);

// ---- one by one

/** So much of some items, and nothing of the others. */
function only(held: Partial<Held>): Held {
  return { ...(Object.fromEntries(ITEMS.map((item) => [item, 0])) as Held), ...held };
}

const ownDirectory = directoryPrice('own').memory;

/** The memory of a file of that name. */
function fileOf(name: string): number {
  return LINK_BYTES + WRITTEN_EVENT_BYTES + name.length;
}

/** A kernel with quotas, a child that owns what user 1000 makes, and its directory. */
function withQuotas(
  uid: Partial<Bounds>,
  gid: Partial<Bounds> = {},
  mount: Partial<Bounds> = {},
): { kernel: MemoryKernel; child: Child; user: Required<By>; own: number } {
  const kernel = MemoryKernel.started();
  kernel.tree.ledger.setQuotas(quotasOf(uid, gid, mount));
  const child = new Child();
  const user = { pid: child.pid, uid: 1000, gid: 100 };
  return { kernel, child, user, own: kernel.mkdir('own', user) };
}

quota(
  'on directories refuses the next mkdir of that user, of no other and not of root',
  async () => {
    const { kernel, child, user } = withQuotas({ directories: 2 });
    kernel.mkdir('second', user);
    assert.is(
      refusal(() => kernel.mkdir('third', user)),
      'EDQUOT',
    );
    kernel.mkdir('other', { ...user, uid: 1001 });
    for (let n = 0; n < 5; n++) kernel.mkdir(`root${n}`, { pid: child.pid });
    kernel.rmdir('second');
    kernel.mkdir('third', user);
    await child.die();
    kernel.drain();
    assert.equal(books(kernel), {});
    kernel.close();
  },
);

quota('says who holds how many', () => {
  const { kernel, child } = withQuotas({ directories: 1 });
  try {
    kernel.tree.root.mkdir('next', 0o755, { uid: 1000, gid: 100, pid: child.pid });
    assert.unreachable('it was not refused');
  } catch (error) {
    assert.is((error as FsError).why, 'uid 1000 holds 1 of 1 directories');
  }
  assert.is(kernel.status('REFUSED'), 1);
  kernel.close();
});

quota('that a mkdir would keep is not charged when it is refused for another reason', () => {
  const { kernel, user } = withQuotas({ directories: 2 });
  for (let n = 0; n < 5; n++)
    assert.is(
      refusal(() => kernel.mkdir(`999999999.${n}`, user)),
      'ESRCH',
    );
  assert.is(books(kernel)['uid 1000'].directories, 1);
  assert.is(kernel.owners.size, 1);
  kernel.close();
});

quota('on streams counts every open, of stream, match and .stream', () => {
  const { kernel, user, own } = withQuotas({ streams: 3 });
  const paths = ['stream', 'match/A==b'].map((path) => kernel.walk(path));
  const nodes = [...paths, kernel.lookup(own, '.stream').nodeid];
  const open = nodes.map((node) => kernel.open(node, 0, user));
  for (const node of nodes)
    assert.is(
      refusal(() => kernel.open(node, 0, user)),
      'EDQUOT',
    );
  kernel.open(nodes[0], 0, { ...user, uid: 1001 });
  kernel.release(open[2]);
  kernel.open(nodes[1], 0, user);
  kernel.close();
});

quota(
  'on events refuses create, mknod, link, a FIFO and a symlink, whoever asks, and takes nothing away',
  () => {
    const { kernel, user, own } = withQuotas({ events: 2 });
    const root = kernel.mkdir('root', { pid: user.pid });
    const source = kernel.make(root, 'source', 'text');
    kernel.make(own, '1', 'one');
    kernel.mknod(own, 'fifo', S_IFIFO);
    for (const attempt of [
      () => kernel.make(own, '2', ''),
      () => kernel.mknod(own, '2', 0o100644),
      () => kernel.mknod(own, '2', S_IFIFO),
      () => kernel.symlink(own, '2', 'x'),
      () => kernel.link(source, own, '2'),
      () => kernel.rename(root, 'source', own, '2'),
    ]) {
      assert.is(refusal(attempt), 'EDQUOT');
      assert.equal(kernel.names(own), ['1', 'fifo']);
    }
    assert.equal(kernel.names(root), ['source']);
    kernel.unlink(own, 'fifo');
    kernel.rename(root, 'source', own, '2');
    assert.equal(kernel.names(own), ['1', '2']);
    kernel.close();
  },
);

quota('on bytes refuses a write and a truncate, and leaves the file as it was', () => {
  const { kernel, own } = withQuotas({ bytes: 100 });
  const { nodeid, fh } = kernel.create(own, 'file', O_RDWR);
  kernel.write(fh, 'x'.repeat(60));
  assert.is(
    refusal(() => kernel.write(fh, 'y'.repeat(60), 50)),
    'EDQUOT',
  );
  assert.is(
    refusal(() => kernel.setattr(nodeid, { valid: FATTR.size, size: 101 })),
    'EDQUOT',
  );
  assert.is(kernel.getattr(nodeid)['attr.size'], 60);
  kernel.link(nodeid, kernel.mkdir('root', { pid: process.pid }), 'twice');
  assert.is(
    refusal(() => kernel.link(nodeid, own, 'twice')),
    'EDQUOT',
  );
  kernel.setattr(nodeid, { valid: FATTR.size, size: 50 });
  kernel.link(nodeid, own, 'twice');
  assert.is(
    refusal(() => kernel.write(fh, 'z', 50)),
    'EDQUOT',
  );
  assert.is(books(kernel)['uid 1000'].bytes, 100);
  kernel.close();
});

quota('counts a file that is unlinked until it is closed', () => {
  const { kernel, own } = withQuotas({ events: 2, bytes: 100 });
  const { fh } = kernel.create(own, 'file', O_RDWR);
  kernel.write(fh, 'x'.repeat(60));
  kernel.unlink(own, 'file');
  assert.is(books(kernel)['uid 1000'].bytes, 60);
  assert.is(
    refusal(() => kernel.write(fh, 'y', 100)),
    'EDQUOT',
  );
  kernel.write(fh, 'y', 99);
  kernel.make(own, 'next', '');
  assert.is(
    refusal(() => kernel.make(own, 'third', '')),
    'EDQUOT',
  );
  kernel.release(fh);
  assert.equal(
    books(kernel)['uid 1000'],
    only({ directories: 1, events: 1, bytes: 0, memory: ownDirectory + fileOf('next') }),
  );
  kernel.close();
});

quota(
  'is right, and the text is there, when an event is linked anew in the full queue that drops it for that',
  () => {
    for (const isOpen of [false, true]) {
      const { kernel, own } = withQuotas({});
      kernel.tree.configure({ queueLimits: { events: 1, bytes: 1000 } });
      const node = kernel.make(own, 'a', 'text');
      const open = isOpen ? kernel.open(node, O_RDWR) : null;
      kernel.link(node, own, 'b');
      assert.equal(kernel.names(own), ['b']);
      assert.is(kernel.cat(kernel.lookup(own, 'b').nodeid), 'text');
      if (open !== null) kernel.release(open);
      assert.equal(
        books(kernel)['uid 1000'],
        only({ directories: 1, events: 1, bytes: 4, memory: ownDirectory + fileOf('b') }),
      );
      kernel.unlink(own, 'b');
      assert.is(books(kernel)['uid 1000'].bytes, 0);
      kernel.close();
    }
  },
);

quota('lets a rename between directories of one user pass when it is full', () => {
  const { kernel, user, own } = withQuotas({ events: 2, bytes: 8 });
  const second = kernel.mkdir('second', user);
  kernel.make(own, 'a', 'text');
  kernel.make(second, 'b', 'more');
  kernel.rename(own, 'a', second, 'a');
  assert.equal(kernel.names(second), ['b', 'a']);
  kernel.rename(second, 'b', second, 'a');
  assert.equal(kernel.names(second), ['a']);
  kernel.close();
});

quota('moves with chown, or chown is refused', () => {
  const { kernel, user, own } = withQuotas({ directories: 1, events: 2 });
  kernel.make(own, 'a', 'text');
  kernel.mkdir('other', { ...user, uid: 1001, gid: 101 });
  const chown = (uid: number, gid: number) =>
    refusal(() => kernel.setattr(own, { valid: FATTR.uid | FATTR.gid, uid, gid }));
  assert.is(chown(1001, 101), 'EDQUOT');
  assert.is(kernel.getattr(own)['attr.uid'], 1000);
  assert.is(chown(1002, 101), 'none');
  assert.equal(
    books(kernel)['uid 1002'],
    only({ directories: 1, events: 1, bytes: 4, memory: ownDirectory + fileOf('a') }),
  );
  assert.equal(
    books(kernel)['gid 101'],
    only({
      directories: 2,
      events: 1,
      bytes: 4,
      memory: ownDirectory + directoryPrice('other').memory + fileOf('a'),
    }),
  );
  assert.is(books(kernel)['uid 1000'], undefined);
  kernel.close();
});

quota('of a group and of the mount hold too, the mount says ENOSPC, also to root', () => {
  const { kernel, user } = withQuotas({}, { directories: 2 }, { directories: 3 });
  kernel.mkdir('b', { ...user, uid: 1001 });
  assert.is(
    refusal(() => kernel.mkdir('c', { ...user, uid: 1002 })),
    'EDQUOT',
  );
  kernel.mkdir('c', { ...user, gid: 101 });
  assert.is(
    refusal(() => kernel.mkdir('d', { pid: user.pid })),
    'ENOSPC',
  );
  kernel.close();
});

quota('that is lowered takes nothing away and refuses more', () => {
  const { kernel, own } = withQuotas({});
  for (const name of ['a', 'b', 'c']) kernel.make(own, name, name);
  kernel.tree.ledger.setQuotas(quotasOf({ events: 2 }));
  assert.equal(kernel.names(own), ['a', 'b', 'c']);
  assert.is(
    refusal(() => kernel.make(own, 'd', '')),
    'EDQUOT',
  );
  kernel.rename(own, 'a', own, 'z');
  const second = kernel.mkdir('second', { pid: process.pid, uid: 1000, gid: 100 });
  kernel.rename(own, 'z', second, 'z');
  kernel.rename(second, 'z', own, 'z');
  for (const name of ['z', 'b']) kernel.unlink(own, name);
  kernel.make(own, 'd', '');
  kernel.close();
});

// ---- what is delivered

quota(
  "that is full makes a queue drop its own oldest for what is delivered, never another queue's",
  () => {
    const { kernel, user, own } = withQuotas({ events: 5 });
    const second = kernel.mkdir('second', user);
    for (let seqnum = 1; seqnum <= 4; seqnum++) kernel.event(seqnum);
    assert.equal(
      [kernel.names(own), kernel.names(second)],
      [
        ['2', '3', '4'],
        ['3', '4'],
      ],
    );
    const stream = kernel.open(kernel.lookup(second, '.stream').nodeid);
    assert.match(
      kernel.read(stream),
      /^overflow@\/eventfs\n[^]*LOST=2\n\nadd@\/devices\/x\n[^]*SEQNUM=3\n\nadd@[^]*SEQNUM=4\n\n$/,
    );
    kernel.close();
  },
);

quota('that others have used up loses what is delivered, and the reader is told', () => {
  const { kernel, user, own } = withQuotas({ events: 2 });
  for (const name of ['a', 'b']) kernel.make(own, name, 'x');
  const second = kernel.mkdir('second', user);
  kernel.event(1);
  assert.equal(kernel.names(second), []);
  assert.equal(kernel.names(own), ['b', '1'], 'it has room of its own to make');
  const stream = kernel.open(kernel.lookup(second, '.stream').nodeid);
  assert.match(kernel.read(stream), /^overflow@\/eventfs\n[^]*LOST=1\n\n$/);
  kernel.close();
});

quota('on bytes drops nothing where that would not be enough', () => {
  const { kernel, user, own } = withQuotas({ bytes: 200 });
  kernel.make(own, 'big', 'x'.repeat(180));
  const second = kernel.mkdir('second', user);
  kernel.make(second, 'small', 'y'.repeat(20));
  kernel.event(1, `PAD=${'z'.repeat(100)}\n`);
  assert.equal(kernel.names(second), ['small']);
  assert.equal(kernel.names(own), ['1']);
  kernel.close();
});

quota('wakes a reader that waits where something was lost', () => {
  const { kernel, user } = withQuotas({ events: 0 });
  const second = kernel.mkdir('second', user);
  const waiting = kernel.startRead(kernel.open(kernel.lookup(second, '.stream').nodeid));
  assert.is(waiting.result, undefined);
  kernel.event(1);
  assert.match(waiting.result!, /^overflow@\/eventfs\n[^]*LOST=1\n\n$/);
  kernel.close();
});

quota('policy that refuses tells the writer, and loses only what is delivered', () => {
  for (const overflow of ['refuse', 'drop-newest'] as const) {
    const { kernel, own, user } = withQuotas({});
    kernel.tree.configure({ queueLimits: { events: 2, bytes: 1000, overflow } });
    kernel.make(own, 'a', 'text');
    const { fh } = kernel.create(own, 'b');
    const root = kernel.mkdir('root', user);
    const other = kernel.make(root, 'other', '');
    assert.is(
      refusal(() => kernel.make(own, 'c', '')),
      'EDQUOT',
    );
    assert.is(
      refusal(() => kernel.link(other, own, 'c')),
      'EDQUOT',
    );
    assert.is(
      refusal(() => kernel.rename(root, 'other', own, 'c')),
      'EDQUOT',
    );
    assert.is(
      refusal(() => kernel.write(fh, 'x'.repeat(997))),
      'EDQUOT',
    );
    kernel.rename(root, 'other', own, 'a'); // it takes the place of one
    kernel.write(fh, 'x'.repeat(996));
    kernel.event(1);
    assert.equal(kernel.names(own), ['b', 'a']);
    assert.is(kernel.tree.root.directories.get('own')!.queue.lost, 1);
    kernel.close();
  }
});

// ---- what ends, and what is let go of

quota(
  'is refunded when the owner dies, of what its open files hold too, and closing them balances',
  async () => {
    const { kernel, child, user, own } = withQuotas({});
    const { arena } = kernel.bus.log;
    const files = ['a', 'b', 'linked', 'shared'].map((name) =>
      kernel.create(own, name, O_RDWR, 0o644, user),
    );
    for (const { fh } of files) kernel.write(fh, 'x'.repeat(1000));
    const other = kernel.mkdir('other', { pid: process.pid, uid: 1001, gid: 101 });
    kernel.link(files[2].nodeid, other, 'linked');
    const again = kernel.link(files[3].nodeid, other, 'shared');
    const through = kernel.open(again, 0, { uid: 1001, gid: 101 });
    kernel.unlink(other, 'shared');
    kernel.unlink(own, 'a');
    const by = { uid: 1002, gid: 102 };
    const reader = kernel.open(files[1].nodeid, 0, by);
    await child.die();
    kernel.owners.watch.drain();
    assert.equal(books(kernel)['uid 1001'].bytes, 1000, 'what is linked elsewhere stays');
    assert.is(kernel.cat(kernel.lookup(other, 'linked').nodeid), 'x'.repeat(1000));
    assert.is(kernel.read(through), 'x'.repeat(1000), 'what is open elsewhere stays');
    assert.equal(
      [books(kernel)['uid 1000'].bytes, books(kernel)['uid 1000'].events],
      [1000, 1],
      'which is charged where it was unlinked last',
    );
    assert.ok(arena.live < 2 * mostRoom(1000), `${arena.live} bytes are live`);
    assert.is(
      refusal(() => kernel.read(reader)),
      'ESTALE',
    );
    for (const fh of [...files.map((file) => file.fh), through, reader]) kernel.release(fh);
    kernel.unlink(other, 'linked');
    kernel.rmdir('other');
    assert.equal(books(kernel), {});
    assert.is(arena.live, 0);
    kernel.close();
  },
);

/** The most room that a text may have. */
function mostRoom(size: number): number {
  return size + size / 8 + 64;
}

quota('on bytes is not outdone by what was cut off: a text has little spare room', () => {
  const { kernel, own } = withQuotas({});
  const { arena } = kernel.bus.log;
  const { nodeid, fh } = kernel.create(own, 'file', O_RDWR);
  for (const size of [65_536, 0, 1, 100, 65_000, 1000, 40_000, 39_000, 20_000, 1, 0]) {
    kernel.setattr(nodeid, { valid: FATTR.size, size });
    assert.ok(arena.live <= mostRoom(size), `${arena.live} bytes for ${size}`);
    assert.is(kernel.cat(nodeid).length, size);
  }
  for (let size = 0; size < 65_536; size += 512) {
    kernel.write(fh, 'y'.repeat(512), size);
    assert.ok(arena.live <= mostRoom(size + 512), `${arena.live} bytes for ${size + 512}`);
  }
  kernel.release(fh);
  kernel.close();
});

quota(
  'may be looked up anew: what holds nothing is forgotten, and what is charged to it later counts',
  () => {
    const ledger = new QuotaLedger(quotasOf({ memory: 100 }));
    const [one, other] = [ledger.account(5, 6), ledger.account(7, 6)];
    for (const tab of [one, other, one]) {
      tab.chargeItem('memory', 60);
      tab.refundItem('memory', 60);
    }
    assert.equal([ledger.users.size, ledger.groups.size], [0, 0]);
    const same = ledger.account(5, 6);
    one.chargeItem('memory', 60);
    assert.throws(
      () => same.chargeItem('memory', 60),
      /EDQUOT: uid 5 holds 60 of 100 memory, and 60 more do not fit/,
    );
    ledger.setQuotas(quotasOf({ memory: 200 }));
    same.chargeItem('memory', 60);
    assert.is(ledger.users.get(5)!.memory, 120);
    one.refundItem('memory', 60);
    same.refundItem('memory', 60);
    assert.equal([ledger.users.size, ledger.groups.size, ledger.mount.memory], [0, 0, 0]);
  },
);

quota(
  'does not keep anybody long when an event has 30,000 links in one queue and its owner dies',
  async () => {
    const { kernel, child, own } = withQuotas({});
    kernel.tree.configure({ queueLimits: { events: 100_000, bytes: 10 ** 9 } });
    const node = kernel.make(own, 'a', 'text');
    for (let n = 0; n < 30_000; n++) kernel.link(node, own, `link-${n}`);
    await child.die();
    const before = cpuMs();
    kernel.owners.watch.drain();
    assert.ok(cpuMs() - before < 20, `${cpuMs() - before} ms`);
    assert.is(kernel.tree.root.directories.size, 0);
    kernel.tree.turns.finish();
    assert.ok(cpuMs() - before < 300, `${cpuMs() - before} ms`);
    assert.equal(books(kernel), {});
    kernel.close();
  },
  60_000,
);

quota(
  'on memory refuses names, filters, texts and open files, and nothing is charged for what was refused',
  () => {
    const { kernel, user, own } = withQuotas({
      memory: ownDirectory + fileOf('file') + 2 * HANDLE_BYTES,
    });
    const node = kernel.make(own, 'file', '');
    const by = { uid: user.uid, gid: user.gid };
    const open = [kernel.open(node, 0, by), kernel.opendir(own, by)];
    const full = books(kernel);
    for (const attempt of [
      () => kernel.make(own, 'more', ''),
      () => kernel.mknod(own, 'fifo', S_IFIFO),
      () => kernel.symlink(own, 'link', 'x'),
      () => kernel.link(node, own, 'more'),
      () => kernel.rename(own, 'file', own, 'longer'),
      () => kernel.open(node, 0, by),
      () => kernel.opendir(own, by),
      () => kernel.open(kernel.walk('stream'), 0, by),
      () => kernel.open(kernel.lookup(own, '.status').nodeid, 0, by),
      () => kernel.mkdir('second', user),
      () =>
        kernel.ask(
          'FUSE_SETXATTR',
          own,
          Buffer.concat([
            Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]),
            cstring('user.eventfs.filter'),
            Buffer.from('A==b'),
          ]),
        ),
    ]) {
      assert.is(refusal(attempt), 'EDQUOT', String(attempt));
      assert.equal(books(kernel), full);
    }
    kernel.release(open[0]);
    kernel.release(open[1], 'FUSE_RELEASEDIR');
    kernel.rename(own, 'file', own, 'longer');
    kernel.open(kernel.lookup(own, '.filter').nodeid, 0, by);
    kernel.close();
  },
);

quota(
  "on memory counts a symlink's target, wherever it is renamed to, until it is removed or replaced",
  () => {
    const target = 't'.repeat(4000);
    const link = (name: string): number => LINK_BYTES + specialHeap(name, target);
    const { kernel, user, own } = withQuotas({
      memory: 2 * ownDirectory + link('a') + link('longer'),
    });
    const two = kernel.mkdir('two', user);
    const theirs = kernel.mkdir('the', { ...user, uid: 1001 });
    const empty = books(kernel);
    kernel.symlink(own, 'a', target);
    kernel.symlink(two, 'b', target);
    assert.is(
      refusal(() => kernel.symlink(own, 'c', target)),
      'EDQUOT',
    );
    kernel.rename(two, 'b', own, 'longer');
    assert.is(
      refusal(() => kernel.rename(own, 'longer', own, 'longest')),
      'EDQUOT',
    );
    kernel.rename(own, 'longer', two, 'a');
    kernel.rename(two, 'a', own, 'a'); // over the other
    kernel.symlink(own, 'c', target);
    for (const name of ['a', 'c']) kernel.rename(own, name, theirs, name);
    kernel.symlink(own, 'a', target);
    assert.is(
      refusal(() => kernel.rename(own, 'a', theirs, 'd')),
      'EDQUOT',
    );
    kernel.rename(own, 'a', theirs, 'a');
    for (const name of kernel.names(theirs)) kernel.unlink(theirs, name);
    assert.equal(books(kernel), empty);
    kernel.close();
  },
);

quota('of the mount on memory is ENFILE where a file is opened, and root has a little more', () => {
  const { kernel, own } = withQuotas(
    {},
    {},
    { memory: ownDirectory + fileOf('file') + 100 * HANDLE_BYTES },
  );
  const node = kernel.make(own, 'file', '');
  for (let n = 0; n < 100; n++) kernel.open(node, 0, { uid: 1000 });
  assert.is(
    refusal(() => kernel.open(node, 0, { uid: 1000 })),
    'ENFILE',
  );
  for (let n = 0; n < 6; n++) kernel.open(node, 0, {});
  assert.is(
    refusal(() => kernel.open(node, 0, {})),
    'ENFILE',
  );
  kernel.close();
});

// ---- statfs

quota('is what statfs tells whoever has one; root is told of the mount', () => {
  const { kernel, own } = withQuotas(
    { bytes: 10_240, events: 20 },
    {},
    { bytes: 102_400, events: 500 },
  );
  kernel.make(own, 'a', 'x'.repeat(1025));
  const blocks = (by: By) => {
    const body = kernel.ask('FUSE_STATFS', 1, Buffer.alloc(0), by);
    return Array.from({ length: 5 }, (_, n) => Number(body.readBigUInt64LE(n * 8)));
  };
  assert.equal(blocks({ uid: 1000, gid: 100 }), [20, 17, 17, 20, 19]);
  assert.equal(blocks({ uid: 1001, gid: 100 }), [20, 20, 20, 20, 20]);
  assert.equal(blocks({}), [200, 197, 197, 500, 499]);
  kernel.make(own, 'b', 'x'.repeat(9000));
  assert.equal(blocks({ uid: 1000, gid: 100 }), [20, 0, 0, 20, 18]);
  kernel.close();
});

// ---- listed links

quota(
  'aside, head and tail are listed when they are to be, from every offset, and not when there is no event',
  () => {
    const { kernel, own } = withQuotas({});
    kernel.tree.configure({ listsLinks: true });
    assert.equal(kernel.names(own), []);
    kernel.mknod(own, 'fifo', S_IFIFO);
    assert.equal(kernel.names(own), ['fifo']);
    for (const name of ['a', 'b']) kernel.make(own, name, '');
    for (const size of [64, 100, 4096])
      assert.equal(kernel.names(own, size), ['a', 'b', 'fifo', 'head', 'tail']);
    const fh = kernel.opendir(own);
    for (const { name, ino, type } of kernel.readdir(fh).slice(2)) {
      const looked = kernel.lookup(own, name);
      assert.is(looked['attr.ino'], ino);
      assert.is((looked['attr.mode'] & 0o170000) >>> 12, type);
    }
    kernel.close();
  },
);

quota('follows the size of a file that only its opener has, as it grows and shrinks', () => {
  const kernel = MemoryKernel.started();
  const by = { pid: process.pid, uid: 1000, gid: 100 };
  const node = kernel.mkdir('own', by);
  const { nodeid, fh } = kernel.create(node, 'file', O_RDWR, 0o644, by);
  const bytes = (): number[] =>
    [
      kernel.tree.ledger.users.get(1000)!,
      kernel.tree.ledger.groups.get(100)!,
      kernel.tree.ledger.mount,
    ].map((account) => account.bytes);
  kernel.write(fh, 'x'.repeat(1000));
  kernel.unlink(node, 'file');
  assert.equal(bytes(), [1000, 1000, 1000]);
  kernel.setattr(nodeid, { valid: FATTR.size, size: 100 });
  assert.equal(bytes(), [100, 100, 100]);
  kernel.write(fh, 'y'.repeat(400), 100);
  assert.equal(bytes(), [500, 500, 500]);
  kernel.setattr(nodeid, { valid: FATTR.size, size: 0 });
  assert.equal(bytes(), [0, 0, 0]);
  kernel.release(fh);
  assert.equal(bytes(), [0, 0, 0]);
  kernel.close();
});

quota.run();
