/** Waits for work, but not for ever. */

/**
 * Waits for a promise.
 *
 * @param ms the most time that it may take, in ms
 * @param late called if it takes longer; its result or error is that of the wait
 * @returns its result; that of `late`, or undefined, if it takes longer: then its later failure is
 *   ignored
 * @throws the error that it rejects with in that time, or that of `late`
 */
export async function inTime<Result, Late = undefined>(
  work: Promise<Result>,
  ms: number,
  late?: () => Late,
): Promise<Result | Late> {
  let timer: NodeJS.Timeout | undefined;
  const end = new Promise<void>((done) => (timer = setTimeout(done, ms))).then<Late>(late);
  try {
    return await Promise.race([work, end]);
  } finally {
    clearTimeout(timer);
  }
}
