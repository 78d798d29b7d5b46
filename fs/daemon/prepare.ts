/**
 * The part of a daemon's start that needs no mount: a standby does it beforehand. V8 compiles code
 * that has run often, and clients wait while a daemon restores the tree.
 */
import { Bus } from '../bus/bus.js';
import { Log } from '../bus/log.js';
import { Owners } from '../owners/owners.js';
import { IdAllocator } from '../shared/id-allocator.js';
import { Journal } from '../state/journal.js';
import { StateLayout, heapMemory } from '../state/layout.js';
import { Recorder } from '../state/recorder.js';
import { StateTable } from '../state/table.js';
import { restoreTree } from '../tree/restore/restore.js';
import { Tree } from '../tree/tree.js';
import { UeventText } from '../uevent/text.js';
import { warmUp } from './warm-up.js';

const MIB = 1024 * 1024;
/** The state of the tree that is restored. Its memory is sparse. */
const SIZES = { ring: 2 * MIB, mailbox: 4096, half: 32 * MIB };
const RING_EVENTS = 1024;
/** 2,000 links, restored five times: measured, more of them save no time. */
const DIRECTORIES = 20;
const EVENTS = 100;
const TIMES = 5;

/**
 * Loads the driver. The loader opens many files at once, for which a daemon that has restored its
 * owners may have no descriptors left.
 */
export async function loadDriver(): Promise<void> {
  await import('../drivers/devfuse/devfuse.js');
}

/** Loads the driver, and warms up the path of an event and the restoring of a tree. */
export async function prepare(): Promise<void> {
  await loadDriver();
  const owners = new Owners();
  warmUp(owners);
  warmRestoring(owners);
  owners.close();
}

/** Records a tree in memory of this process, and restores it. */
function warmRestoring(owners: Owners): void {
  const memory = heapMemory(StateLayout.bytes(SIZES));
  fill(treeOf(Journal.create(memory, SIZES), owners));
  for (let time = 0; time < TIMES; time++) {
    const layout = StateLayout.open(memory);
    const next = new Owners();
    const tree = treeOf(new Journal(layout), next);
    restoreTree(tree, new StateTable(layout));
    tree.recorder?.commit();
    next.close();
  }
}

function treeOf(journal: Journal, owners: Owners): Tree {
  const log = new Log({ bytes: SIZES.ring, events: RING_EVENTS }, undefined, new Recorder(journal));
  return new Tree(new Bus(log, new IdAllocator(1)), owners);
}

/** Makes directories of this process, and publishes events to them. */
function fill(tree: Tree): void {
  const { pid } = process;
  const caller = { uid: process.geteuid!(), gid: process.getegid!(), pid };
  for (let n = 0; n < DIRECTORIES; n++) tree.root.mkdir(`${pid}.${n}`, 0o700, caller);
  const text = new UeventText();
  for (let seqnum = 1; seqnum <= EVENTS; seqnum++) {
    const datagram = Buffer.from(
      `add@/devices/virtual/warm-up\0ACTION=add\0SUBSYSTEM=warm-up\0SEQNUM=${seqnum}\0`,
    );
    text.readDatagram(datagram, 0, datagram.length);
    tree.bus.publishKernel(text);
    tree.recorder?.commit();
  }
  tree.bus.settle();
  tree.recorder?.commit();
}
