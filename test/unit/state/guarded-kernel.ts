/** Kernels in memory whose daemon records all that it does, in memory that outlives it. */
import { Journal } from '../../../fs/state/journal.js';
import { StateLayout, type StateMemory, heapMemory } from '../../../fs/state/layout.js';
import { Recorder } from '../../../fs/state/recorder.js';
import { StateTable } from '../../../fs/state/table.js';
import { restoreTree } from '../../../fs/tree/restore/restore.js';
import { MemoryKernel } from '../../support/memory/kernel.js';

/** The sizes of the state. The journal's halves hold one record of the largest size, and more. */
export const SIZES = { ring: 1024 * 1024, mailbox: 4096, half: 6 * 1024 * 1024 };
const LOG = { bytes: SIZES.ring, events: 4096 };

/** Returns an empty state. */
export function newMemory(): StateMemory {
  return heapMemory(StateLayout.bytes(SIZES));
}

/** Returns a copy of a state, as a SIGKILL of the daemon leaves it at this moment. */
export function copyOf(memory: StateMemory): StateMemory {
  const copy = heapMemory(memory.bytes.length);
  copy.bytes.set(memory.bytes);
  return copy;
}

/** Starts the first daemon of a state. */
export function startFirst(memory: StateMemory): MemoryKernel {
  const journal = Journal.create(memory, SIZES);
  return MemoryKernel.started({ log: LOG, recorder: new Recorder(journal) });
}

/** Starts another daemon on a state. */
export function startNext(memory: StateMemory): MemoryKernel {
  const layout = StateLayout.open(memory);
  const recorder = new Recorder(new Journal(layout));
  const kernel = MemoryKernel.started({ log: LOG, recorder });
  restoreTree(kernel.tree, new StateTable(layout));
  return kernel;
}
