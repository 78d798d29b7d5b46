/**
 * What things are charged as `memory`: bytes of V8's heap and of buffers. Measured on Node 20, 64 bits, after a collection
 * (test/unit/tree/prices.test.ts, which also fails where one costs more than it is charged; EVENTFS_SHOW_PRICES=1 shows both). Whatever
 * has a name is charged the name's length besides.
 */
import type { Filter } from '../uevent/filter/filter.js';

/**
 * An entry of a directory whose node the kernel knows, so that a lookup need not be refused: the node, its event, the names' index.
 * Measured: 580 for a delivered event, 300 for a link to one, 320 for a FIFO.
 */
export const LINK_BYTES = 640;

/** What the event of a file costs beyond that of a delivered one: 180 to 300 with its node, as V8 lays the objects out. */
export const WRITTEN_EVENT_BYTES = 384;

/** A process directory, its owner, the nodes of its dot files and its queue: 3,330. */
const DIRECTORY_BYTES = 4096;

/** An open file or directory: 150; 1,850 to 2,100 where it keeps what is left of a directory that has ended. */
export const HANDLE_BYTES = 2304;

/** What makes an open file a stream: 240. */
const STREAM_BYTES = 512;
/** A stream with a filter keeps the numbers of events in the ring, 4 bytes each, in at most twice the room. */
const NUMBER_BYTES = 8;

/** A read that waits: 120. */
export const PARKED_READ_BYTES = 192;

/** A thread that reads an open file by io_uring, with as many reads under way as are known of it: 900. */
export const URING_THREAD_BYTES = 1280;

/** A buffer, besides its bytes: 200. */
const BUFFER_BYTES = 256;

/**
 * The price of a FIFO, a socket or a symlink besides that of an entry.
 * @param target a symlink's, bytes as characters
 * @returns bytes of memory
 */
export function specialHeap(name: string, target = ''): number {
  return name.length + target.length;
}

/** What a process directory is charged besides what is in it. */
export function directoryPrice(name: string): { directories: number; memory: number } {
  return { directories: 1, memory: DIRECTORY_BYTES + name.length };
}

/**
 * What a filter of a stream or of a socket's client is charged: itself, and the numbers of those events in the ring that match.
 * @param ringEvents how many events the log's ring holds
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

/** What an open stream of the log is charged besides the open file: see `filteredPrice`. */
export function streamPrice(
  filter: Filter,
  ringEvents: number,
): { streams: number; memory: number; filter_cost: number } {
  const { memory, filter_cost } = filteredPrice(filter, ringEvents);
  return { streams: 1, memory: STREAM_BYTES + memory, filter_cost };
}

/** What an open `.stream` is charged besides the open file. */
export const QUEUE_STREAM_PRICE = { streams: 1, memory: STREAM_BYTES, filter_cost: 0 };

/** What a text or a piece of one is charged that an open file keeps. */
export function textHeap(bytes: number): number {
  return BUFFER_BYTES + bytes;
}

/** The same where there may be none: 0 bytes are kept in no buffer. */
export function restHeap(bytes: number): number {
  return bytes === 0 ? 0 : textHeap(bytes);
}
