/** Waits for work, but not for ever. */

/**
 * Waits for a promise.
 *
 * @param ms the most time that it may take, in ms
 * @returns its result; undefined if it takes longer: then its later failure is ignored
 * @throws the error that it rejects with in that time
 */
export async function inTime<Result>(
  work: Promise<Result>,
  ms: number,
): Promise<Result | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((done) => (timer = setTimeout(() => done(undefined), ms)));
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
