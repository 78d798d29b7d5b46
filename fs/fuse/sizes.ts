/** The sizes of requests and replies, which INIT negotiates and the buffers follow. */

import { MAX_WRITE_BYTES } from '../shared/kernel/write-size.js';

const PAGE_BYTES = 4096;

/** An earlier version has negotiated this. Its mount may be taken over by this one. */
const EARLIER_MAX_WRITE_BYTES = 128 * 1024;
/**
 * The most pages of one READ (fuse_init_out.max_pages): 1 MiB, so that a slow reader gets many
 * events at once.
 */
export const MAX_PAGES = 256;
/**
 * A READ of at least this many bytes may be the longest that the kernel can send for the caller's
 * buffer, so the caller may want more. One page is missing because the buffer need not begin at a
 * page boundary.
 */
export const LONG_READ_BYTES = longReadBytes(MAX_PAGES * PAGE_BYTES);

/**
 * Returns the fewest bytes of a READ that may be the longest.
 * @param most the bytes of the longest
 */
export function longReadBytes(most: number): number {
  return most - PAGE_BYTES;
}

/**
 * Returns the most bytes that one READ of a stream gets. The kernel sends a longer read(2) as
 * several READs, the next one as soon as one was filled. A stream may have no event left for that
 * one, and the caller would wait although it has bytes. So the daemon never fills a READ that may
 * be one of several.
 * @param size the bytes that the READ asks for
 * @param long the fewest bytes of a READ that may be the longest
 */
export function streamReadBytes(size: number, long = LONG_READ_BYTES): number {
  return size >= long ? size - 1 : size;
}

/** The size of the request buffer in bytes. */
export const REQUEST_BYTES = EARLIER_MAX_WRITE_BYTES + PAGE_BYTES;
/** The size of the reply buffer in bytes. */
export const REPLY_BYTES = MAX_PAGES * PAGE_BYTES + PAGE_BYTES;
/** The most bytes that one request or reply carries behind its fixed part. */
export const PAYLOAD_BYTES = Math.max(MAX_WRITE_BYTES, MAX_PAGES * PAGE_BYTES);
