import type { Filter } from '../events/filter.js';
/** provisional */
export const LINK_BYTES = 640;
export const WRITTEN_EVENT_BYTES = 512;
export const SPECIAL_BYTES = 256;
export const DIRECTORY_BYTES = 6144;
export const HANDLE_BYTES = 2048;
export const STREAM_BYTES = 2048;
export const PARKED_READ_BYTES = 384;
export const BUFFER_BYTES = 256;
export const FILTER_BYTES_A_CHARACTER = 128;
export const STATUS = 0;

/** What a process directory is charged besides what is in it. */
export function directoryPrice(name: string): { directories: number; memory: number } {
  return { directories: 1, memory: DIRECTORY_BYTES + name.length };
}

/** What a FIFO or socket is charged beyond what each entry of a directory is. */
export function specialHeap(name: string): number {
  return SPECIAL_BYTES + name.length;
}

/** What a filter is charged, parsed and as text. */
export function filterHeap(text: string): number {
  return FILTER_BYTES_A_CHARACTER * text.length;
}

/** What an open stream of the log is charged besides the open file. @param ringEvents how many events the log's ring holds */
export function streamPrice(filter: Filter, ringEvents: number): { streams: number; memory: number } {
  return { streams: 1, memory: filter.all ? STREAM_BYTES : STREAM_BYTES + filterHeap(filter.text) + NUMBER_BYTES * ringEvents };
}

export const QUEUE_STREAM_PRICE = { streams: 1, memory: STREAM_BYTES };
export const NUMBER_BYTES = 8;

/** What a text or a piece of one is charged that an open file keeps. */
export function textHeap(bytes: number): number {
  return BUFFER_BYTES + bytes;
}
