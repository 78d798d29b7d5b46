/**
 * Compares the heap that objects take with the price that is charged: the price is never too low,
 * and at most a bounded multiple.
 */
import * as assert from 'uvu/assert';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { allocatePages, discardPages } from '#native';
import { ParkedReads } from '../../../../fs/drivers/devfuse/parked-reads.js';
import { Arena } from '../../../../fs/bus/arena.js';
import { Bus } from '../../../../fs/bus/bus.js';
import { Filter } from '../../../../fs/uevent/filter/filter.js';
import { Log } from '../../../../fs/bus/log.js';
import { IdAllocator } from '../../../../fs/shared/id-allocator.js';
import { UeventText } from '../../../../fs/uevent/text.js';
import { Owner, Owners } from '../../../../fs/owners/owners.js';
import type { Pid } from '../../../../fs/owners/process.js';
import type { FileHandle, Handle, Node } from '../../../../fs/tree/nodes/node.js';
import type { ProcessDirectory } from '../../../../fs/tree/nodes/process-directory.js';
import { Tree } from '../../../../fs/tree/tree.js';
import { suite } from '../../../support/runner/suite.js';
import { NO_BOUNDS } from '../../../../fs/tree/quota/bounds.js';

const price = suite('the price of');

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** The most objects: for those whose price is only some 50 or 100 bytes above their heap. */
const MANY = 3000;
/**
 * The numbers of objects with a larger distance. V8 itself may take or free up to 200 KB in a test;
 * with the runner's flags (test/run.ts) it does the same in each run.
 */
const SOME = 1500;
const FEW = 1000;
/** The number of directories of which some have a filter. */
const FILTERED = 160;
/** How often a cost above the charge is measured before it counts. */
const MEASUREMENTS = 3;
const CALLER = { uid: 1000, gid: 1000, pid: process.pid };
const O_RDONLY = 0;

/** Returns the bytes of heap and of buffers after a garbage collection. */
function held(): number {
  for (let round = 0; round < 2; round++) collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

class World {
  readonly owners = new Owners();
  readonly bus = new Bus(
    new Log(
      { bytes: 256 * 1024, events: 64 },
      new Arena({ allocate: allocatePages, discard: discardPages }),
    ),
    new IdAllocator(1),
    { events: 8, bytes: 65_536 },
  );
  readonly tree = new Tree(this.bus, this.owners);
  #seqnum = 0;

  constructor() {
    const unbounded = { others: NO_BOUNDS, of: new Map() };
    this.tree.ledger.setQuotas({ mount: NO_BOUNDS, uid: unbounded, gid: unbounded });
    this.tree.configure({ queueLimits: { events: 10 * MANY, bytes: 1024 ** 3 } });
    this.event();
  }

  event(): void {
    const text = new UeventText();
    const datagram = Buffer.from(`add@/x\0SEQNUM=${++this.#seqnum}\0`);
    text.readDatagram(datagram, 0, datagram.length);
    this.bus.publishKernel(text);
  }

  mkdir(name: string): ProcessDirectory {
    return this.known(this.tree.root.mkdir(name, 0o755, CALLER));
  }

  /** Makes the kernel know the node. */
  known<N extends Node>(node: N | undefined): N {
    this.tree.remember(node!);
    return node!;
  }

  open(node: Node): number {
    const tab = this.tree.chargeOpen(node, CALLER);
    return this.tree.enter(node.open(O_RDONLY, CALLER), tab, node.openHeap);
  }
}

/** Returns a name that shares its characters with no other name. */
function nameOf(n: number, length = 200): string {
  return Buffer.from(`${n}`.padEnd(length, 'x')).toString('latin1');
}

type Make = (world: World, n: number) => void;
type Setup = (world: World) => void;

/** Makes `count` objects. Returns the heap of one and its charge, in bytes. */
function measureOnce(count: number, make: Make, before: Setup, after: Setup) {
  const world = new World();
  before(world);
  const { mount } = world.tree.ledger;
  for (let n = 0; n < 50; n++) make(world, -1 - n);
  const [heap, memory, bytes] = [held(), mount.memory, mount.bytes];
  for (let n = 0; n < count; n++) make(world, n);
  after(world);
  world.tree.turns.finish(); // frees ended objects
  const cost = (held() - heap - (mount.bytes - bytes)) / count;
  const charged = (mount.memory - memory) / count;
  world.owners.close();
  owners.length = 0; // else each later collection traces them
  return { cost, charged };
}

/**
 * Compares the heap of an object with its charge. V8 takes memory for itself at times that the test
 * does not know, so a cost above the charge counts only if the next measurements show it as well.
 */
function measure(
  what: string,
  count: number,
  make: Make,
  before: Setup = () => undefined,
  after: Setup = () => undefined,
): void {
  price(
    `${what} covers its heap`,
    () => {
      const wrong: string[] = [];
      while (wrong.length < MEASUREMENTS) {
        const { cost, charged } = measureOnce(count, make, before, after);
        if (process.env.EVENTFS_SHOW_PRICES !== undefined)
          console.log(`    ${what}: costs ${Math.round(cost)}, charged ${Math.round(charged)}`);
        if (cost <= charged) return;
        wrong.push(`${what} costs ${cost} bytes and is charged ${charged}`);
      }
      assert.unreachable(wrong.join('; '));
    },
    60_000,
  );
}

const owners: unknown[] = [];
let directory: ProcessDirectory;
const inOne = (world: World): void => void (directory = world.mkdir('one'));

measure(
  'a delivered event that has been looked up',
  MANY,
  (world) => world.event(),
  inOne,
  (world) => {
    for (const entry of [...directory.queue.entries])
      world.tree.remember(directory.lookup(entry.name)!);
  },
);

measure(
  'a link with a name of its own',
  SOME,
  (world, n) =>
    void world.known(
      directory.link(
        nameOf(n),
        [...world.bus.history.entries].map(() => world.tree.log.lookup('1')!)[0],
      ),
    ),
  inOne,
);

measure(
  'a file',
  SOME,
  (world, n) => {
    const tab = world.tree.chargeOpen(directory, CALLER);
    const handle = directory.create(nameOf(n), 0o644, 1, CALLER);
    world.known(handle.node);
    world.tree.leave(world.tree.enter(handle, tab, directory.openHeap));
  },
  inOne,
);

measure(
  'a FIFO',
  SOME,
  (world, n) => void world.known(directory.mknod(nameOf(n), 0o010644, CALLER)),
  inOne,
);

measure(
  'a symlink',
  SOME,
  (world, n) => void world.known(directory.symlink(nameOf(n), nameOf(n, 4000), CALLER)),
  inOne,
);

measure(
  'a directory whose nodes are all known',
  FEW,
  (world, n) => {
    const made = world.mkdir(nameOf(n));
    const owner = new Owner(n as Pid, 0);
    owner.owned.add(made);
    owners.push(owner);
    for (const name of ['.stream', '.filter', '.since', '.status']) world.known(made.lookup(name));
    world.event();
  },
  undefined,
  (world) => {
    for (const made of world.tree.root.directories)
      while (made.queue.shift() !== undefined) continue;
  },
);

measure(
  'an open file',
  FEW,
  (world) => void world.open(directory.lookup('2')!),
  (world) => {
    inOne(world);
    world.event();
  },
);
measure('an open file of a directory that has ended', SOME, (world, n) => {
  const made = world.mkdir(nameOf(n));
  made.setFilter(Filter.parse(`A==${nameOf(n)}`));
  world.open(made.lookup('.filter')!);
  world.tree.root.rmdir(made.name);
});
measure('a stream', FEW, (world) => void world.open(world.tree.root.lookup('stream')!));
measure(
  'a stream with a filter',
  FEW,
  (world, n) =>
    void world.open(
      (world.tree.root.lookup('match') as never as { lookup(name: string): Node }).lookup(
        `A==${n}`,
      ),
    ),
);
measure('an open .stream', FEW, (world) => void world.open(directory.lookup('.stream')!), inOne);
measure('an open .status', FEW, (world) => void world.open(directory.lookup('.status')!), inOne);

let shared: Handle;
measure(
  'a thread that reads by io_uring',
  FEW,
  (world, n) => {
    if (n % 16 === 0 || n === -1)
      shared = world.tree.handle(world.open(directory.lookup('2')!) as FileHandle);
    for (let rest = 1; rest <= 8; rest++) {
      shared.pollFor(n, 0x001, false);
      shared.gotShort(n, 1000 * rest, 1000 * rest, false);
      shared.pollFor(n, 0x04b, true);
    }
  },
  (world) => {
    inOne(world);
    world.event();
  },
);

const terms = (text: string) => text.repeat(200).replace(/,$/, '');
for (const text of [
  'A=b;',
  'A=b,',
  'A=b|c,',
  'A=*;',
  'A=?*[ab];',
  `SUBSYSTEM=s,`,
  '#;',
  'SUBSYSTEM==aa|bb|cc;',
  'A==x|y|z|a|b|c|d;',
  'A==a*b*c*d*e;',
]) {
  measure(`a filter of '${text}'`, FILTERED, (world, n) => {
    const made = world.mkdir(`d${n}`);
    if (n % 5 === 0) made.setFilter(Filter.parse(terms(text)));
  });
}

measure('a filter by many subsystems', FILTERED, (world, n) => {
  const made = world.mkdir(`d${n}`);
  if (n % 20 !== 0) return;
  const text = `SUBSYSTEM==${Array.from({ length: 500 }, (_, at) => `${n}-${at}`).join('|')}`;
  made.setFilter(Filter.parse(text));
});

let parked: ParkedReads;
const words = new Uint32Array(32);
measure(
  'a blocked read',
  MANY,
  (world, n) => {
    words[2] = 2 * n;
    const { handle } = world as never as { handle: never };
    (handle as { park(read: unknown): void }).park(parked.park(words, handle, 4096));
  },
  (world) => {
    parked = new ParkedReads(65_536, world.tree.ledger);
    const node = world.tree.root.lookup('stream')!;
    Object.assign(world, { handle: node.open(0, CALLER) });
  },
);

price.run();
