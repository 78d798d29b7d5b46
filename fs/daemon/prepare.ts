/**
 * The part of a daemon's start that needs no mount: a standby does it beforehand. V8 compiles code
 * that has run often, and clients wait while a daemon restores the tree.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { discardPages } from '#native';
import { Bus } from '../bus/bus.js';
import { Log } from '../bus/log.js';
import { Owners } from '../owners/owners.js';
import type { Holder } from '../guard/holder.js';
import { loadOutlets } from '../outlets/open-outlets.js';
import { openPaths } from '../outlets/open-paths.js';
import type { OpenedPaths } from '../outlets/opened-paths.js';
import { IdAllocator } from '../shared/id-allocator.js';
import { NO_KEEPER } from '../shared/kernel/keeper.js';
import { Journal } from '../state/journal.js';
import { StateLayout, heapMemory } from '../state/layout.js';
import { Recorder } from '../state/recorder.js';
import { StateTable } from '../state/table.js';
import { restoreTree } from '../tree/restore/restore.js';
import { Tree } from '../tree/tree.js';
import { Daemon, loadDriver } from './daemon.js';
import type { DaemonOptions } from './options.js';
import { type MappedState, STATE, copyState } from './state-memory.js';
import { receiver, warmUp } from './warm-up.js';

const MIB = 1024 * 1024;
const PAGE = 4096;
/** The state of the tree that is restored. Its memory is sparse. */
const SIZES = { ring: 2 * MIB, mailbox: 4096, half: 32 * MIB };
const RING_EVENTS = 1024;
/** 2,000 links, restored five times: measured, more of them save no time. */
const DIRECTORIES = 20;
const EVENTS = 100;
const TIMES = 5;
/** No copy of a large state is restored after so long, in milliseconds. */
const MOST_COPIES_MS = 500;

/**
 * Loads the code of a daemon, warms up the path of an event and the restoring of a tree, and opens
 * the paths of the outlets.
 *
 * @param options of the daemon
 * @param state the state of the daemon that serves now; undefined if it is not known yet
 * @param isCalled tells whether clients wait for this daemon
 * @returns undefined if they do: then the paths stay closed
 */
export async function prepare(
  options: DaemonOptions,
  state: number | undefined,
  isCalled: () => boolean,
): Promise<OpenedPaths | undefined> {
  await loadDriver();
  await import('../drivers/devfuse/traced-port.js');
  await loadOutlets(options.outlets);
  const owners = new Owners();
  warmUp(owners, options.outlets.fleet === true);
  warmRestoring(owners);
  owners.close();
  if (state !== undefined) await restoreCopies(options, state, isCalled);
  await nextTurn();
  return isCalled() ? undefined : openPaths(options.outlets, options.path);
}

async function restoreCopies(
  options: DaemonOptions,
  state: number,
  isCalled: () => boolean,
): Promise<void> {
  const end = performance.now() + MOST_COPIES_MS;
  for (let time = 0; time < TIMES && !isCalled() && performance.now() < end; time++) {
    restoreCopy(options, state);
    await nextTurn(); // the guardian may call
  }
}

/** Restores the tree from a copy of a state, and throws it away. */
function restoreCopy(options: DaemonOptions, fd: number): void {
  let mapped: MappedState | undefined;
  try {
    mapped = copyState(fd);
    keepJournal(mapped);
    new Daemon({ ...options, sources: [], holder: holderOfCopy(fd), mapped }).stop();
  } catch {
    // The daemon that serves changes the state meanwhile. An error that stays shows when it counts.
  }
  if (mapped !== undefined) discardPages(mapped.bytes, 0, mapped.bytes.length);
}

/**
 * Keeps header and journal of the copy as they are: the copy owns each page that it has written to.
 */
function keepJournal({ bytes, isCopy }: MappedState): void {
  bytes.fill(bytes[0], 0, 1); // the page of the header, before the numbers in it are read
  const layout = StateLayout.open({ bytes, reserve: () => isCopy, discard: () => undefined });
  const { active } = layout;
  const start = layout.halves[active];
  const end = start + 8 * layout.committed(active);
  for (let at = start; at < end; at += PAGE) bytes.fill(bytes[at], at, at + 1);
}

/** Holds a copy of a state, and keeps nothing. */
function holderOfCopy(fd: number): Holder {
  const look = (): number => fd;
  return {
    ...NO_KEEPER,
    keeps: true,
    takesOver: true,
    take: (name) => (name === STATE ? fd : undefined),
    look,
    nack: () => undefined,
    statusLines: () => [],
    release: () => undefined,
  };
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
  const receive = receiver(tree.bus);
  for (let seqnum = 1; seqnum <= EVENTS; seqnum++) {
    receive(seqnum);
    tree.recorder?.commit();
  }
  tree.bus.settle();
  tree.recorder?.commit();
}
