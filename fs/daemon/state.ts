/**
 * The state that outlives the daemon: its memory, its journal, and what the last daemon has left.
 */
import { closeSync } from 'node:fs';
import { createStateMemfd } from '#native';
import type { LogLimits } from '../bus/log.js';
import { RESERVE_BYTES } from '../bus/log.js';
import { UsageError } from '../shared/errors.js';
import type { Keeper } from '../shared/kernel/keeper.js';
import type { Logger } from '../shared/log/logger.js';
import { Journal } from '../state/journal.js';
import { StateLayout, type StateMemory } from '../state/layout.js';
import { Recorder } from '../state/recorder.js';
import { StateTable } from '../state/table.js';
import { MAILBOX_BYTES, mailboxOf } from '../sources/mailbox.js';
import type { SourceState } from '../sources/source-types.js';
import type { Quotas } from '../tree/quota/bounds.js';
import { type MappedState, STATE, memoryOf } from './state-memory.js';

const MIB = 1024 * 1024;
/**
 * The size of each half of the journal. The memory is sparse: only what is written costs. Both
 * halves and the largest ring are below 4 GiB, the longest array of Node.
 */
const HALF_BYTES = 1408 * MIB;
/**
 * The most text and memory that all users may hold if a later daemon takes over. A record is
 * smaller than the price of its thing (fs/tree/prices.ts), so all records together take less than
 * both bounds. The rest of a half is for the growth of the journal between two compactions.
 */
const MOST_BYTES = 512 * MIB;
const MOST_MEMORY = 512 * MIB;
/** The smallest ring: several times what one request may add. */
const LEAST_RING_BYTES = 4 * RESERVE_BYTES;

/** The state of one mount. */
interface DaemonState {
  readonly recorder: Recorder;
  /** The records of the last daemon; null if there was none. */
  readonly table: StateTable | null;
  /** The sizes of the log's ring: those of the last daemon, if there was one. */
  readonly ring: LogLimits;
}

/**
 * Opens the state that the keeper has, or makes a new one for it.
 *
 * @param ring the configured sizes of the log's ring
 * @param mapped the keeper's state, if it is mapped already
 * @param isNew whether the mount is new: a state is of a mount that has ended, with its open files
 * @returns null if the keeper keeps nothing
 * @throws UserError if the state is damaged or of another version
 * @throws UsageError if the ring is too small
 */
export function openState(
  keeper: Keeper,
  ring: LogLimits,
  logger: Logger,
  mapped?: MappedState,
  isNew = false,
): DaemonState | null {
  if (!keeper.keeps) return null;
  let kept = keeper.take(STATE);
  if (kept !== undefined && isNew) {
    closeSync(kept);
    kept = undefined;
  }
  const opened = kept === undefined ? create(keeper, ring) : open(memoryOf(kept, mapped), ring);
  opened.recorder.journal.onLost = (why) =>
    logger.error(
      `the state is given up: ${why} (unmount and mount again: the mount ends with this daemon)`,
    );
  return opened;
}

/** Returns quotas with bounds of the mount that the state has room for. */
export function quotasForState(quotas: Quotas): Quotas {
  const { mount } = quotas;
  return {
    ...quotas,
    mount: {
      ...mount,
      bytes: Math.min(mount.bytes, MOST_BYTES),
      memory: Math.min(mount.memory, MOST_MEMORY),
    },
  };
}

/** @throws UsageError if the ring is too small for a state */
export function refuseSmallRing({ bytes }: LogLimits): void {
  if (bytes < LEAST_RING_BYTES)
    throw new UsageError(
      `log.ring_bytes: ${bytes} is too small for --guard and --fd-holder ` +
        `(at least ${LEAST_RING_BYTES})`,
    );
}

function create(keeper: Keeper, ring: LogLimits): DaemonState {
  refuseSmallRing(ring);
  const sizes = { ring: ring.bytes, mailbox: MAILBOX_BYTES, half: HALF_BYTES };
  const fd = createStateMemfd(StateLayout.bytes(sizes));
  const journal = Journal.create(memoryOf(fd), sizes);
  keeper.keep(STATE, fd);
  return { recorder: new Recorder(journal), table: null, ring };
}

function open(memory: StateMemory, ring: LogLimits): DaemonState {
  const layout = StateLayout.open(memory);
  const table = new StateTable(layout);
  return {
    recorder: new Recorder(new Journal(layout)),
    table,
    ring: {
      bytes: layout.sizes.ring,
      events: table.get('counters')?.ringEvents ?? ring.events,
    },
  };
}

/**
 * Returns what a source needs for a later daemon.
 *
 * @param group the source's netlink group: 1 or 2
 */
export function sourceState({ recorder, table }: DaemonState, group: number): SourceState {
  const { mailbox } = recorder.journal.layout;
  return { recorder, mailbox: mailboxOf(mailbox, group - 1), last: table?.get('source', group) };
}
