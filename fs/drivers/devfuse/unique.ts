/** The number of a request (fuse_in_header.unique), as a number. */

const TWO_32 = 2 ** 32;
/** FUSE_UNIQUE_RESEND, in the higher 32 bits: the kernel sends the request again. */
export const RESENT = 0x80000000;

/**
 * Returns the number of a request, whether the kernel has sent it again or not. It is exact below
 * 2^53.
 */
export function uniqueOf(low: number, high: number): number {
  return (high & ~RESENT) * TWO_32 + low;
}
