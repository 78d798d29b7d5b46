/**
 * The prices of objects: bytes of V8's heap and of buffers that the ledger charges as `memory`.
 *
 * The comments have the measured bytes: Node 20, 64 bits, after a garbage collection.
 * test/unit/tree/quota/prices.test.ts measures them. It fails if an object costs more than its
 * price, and shows both with EVENTFS_SHOW_PRICES=1. An object with a name is charged the name's
 * length in addition.
 */
import type { Filter } from '../uevent/filter/filter.js';

/**
 * One entry of a directory: its node, its event and its place in the index of names. The price
 * includes the node from the beginning, although the node is made only when the kernel looks the
 * entry up: so that lookup need not be refused. Measured: 580 to 675 for a delivered event, 300 for
 * a link to an event, 320 for a FIFO.
 */
export const LINK_BYTES = 704;

/**
 * The price of a written event beyond the price of a delivered one. Measured: 180 to 300 with its
 * node, as V8 lays the objects out.
 */
export const WRITTEN_EVENT_BYTES = 384;

/** A process directory, its owner, the nodes of its dot files and its queue. Measured: 3,330. */
const DIRECTORY_BYTES = 4096;

/**
 * An open file or directory. Measured: 150, or 1,850 to 2,280 if the open file keeps the remains of
 * an ended directory in memory.
 */
export const HANDLE_BYTES = 2560;

/** The price of a stream in bytes, in addition to its open file. Measured: 240. */
const STREAM_BYTES = 512;
/** The number of one matching event in the ring, which a stream with a filter keeps: a Float64. */
const NUMBER_BYTES = 8;

/** A blocked read. Measured: 120. */
export const PARKED_READ_BYTES = 192;

/**
 * A thread that reads an open file with io_uring, with the most expected reads that the daemon
 * keeps for a thread. Measured: 900.
 */
export const URING_THREAD_BYTES = 1280;

/** A buffer without its bytes. Measured: 200. */
const BUFFER_BYTES = 256;

/**
 * Returns the price of a FIFO, a socket or a symlink beyond the price of an entry (LINK_BYTES).
 * @param name the file's name, bytes as characters
 * @param target the symlink's target, bytes as characters
 * @returns bytes of memory
 */
export function specialHeap(name: string, target = ''): number {
  return name.length + target.length;
}

/**
 * Returns the price of a process directory without its contents.
 * @param name the directory's name
 * @returns one directory, and bytes of memory
 */
export function directoryPrice(name: string): { directories: number; memory: number } {
  return { directories: 1, memory: DIRECTORY_BYTES + name.length };
}

/**
 * Returns the price of a filter of a stream or of a socket client: the filter, and the numbers of
 * the matching events in the ring.
 * @param filter the filter
 * @param ringEvents the most events that the log's ring holds
 * @returns bytes of memory, and the filter cost
 */
export function filteredPrice(
  filter: Filter,
  ringEvents: number,
): { memory: number; filter_cost: number } {
  return {
    memory: filter.memory + (filter.all ? 0 : NUMBER_BYTES * ringEvents),
    filter_cost: filter.cost,
  };
}

/**
 * Returns the price of an open stream of the log, in addition to its open file.
 * @param filter the stream's filter
 * @param ringEvents the most events that the log's ring holds
 * @returns one stream, bytes of memory, and the filter cost
 */
export function streamPrice(
  filter: Filter,
  ringEvents: number,
): { streams: number; memory: number; filter_cost: number } {
  const { memory, filter_cost } = filteredPrice(filter, ringEvents);
  return { streams: 1, memory: STREAM_BYTES + memory, filter_cost };
}

/** The price of an open `.stream`, in addition to its open file. */
export const QUEUE_STREAM_PRICE = { streams: 1, memory: STREAM_BYTES, filter_cost: 0 };

/**
 * Returns the price of a buffer that an open file keeps: a text, or a part of one.
 * @param bytes the buffer's length
 * @returns bytes of memory
 */
export function textHeap(bytes: number): number {
  return BUFFER_BYTES + bytes;
}

/**
 * Returns the price of the rest of a record that an open file keeps (PartialRecord).
 * @param bytes the rest's length; 0 if there is no rest, and then no buffer
 * @returns bytes of memory
 */
export function restHeap(bytes: number): number {
  return bytes === 0 ? 0 : textHeap(bytes);
}
