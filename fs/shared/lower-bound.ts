/**
 * Binary search in a circular buffer of ascending numbers.
 *
 * The other searches stay where they are, because V8 compiles a function for the types that all its
 * callers pass. `Sequence` searches a plain array: in a shared function that takes twice as long.
 * The others compare events, which needs a callback.
 *
 * @param ring the buffer
 * @param first the index of the lowest number
 * @param count how many numbers there are from `first` on
 * @param wanted the number to search for
 * @returns how many numbers are lower than `wanted`
 */
export function lowerBound(
  ring: Float64Array,
  first: number,
  count: number,
  wanted: number,
): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ring[(first + middle) % ring.length] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
