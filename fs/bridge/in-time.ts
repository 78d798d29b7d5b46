/** Waits for work, but not for long. */

/**
 * @param ms the longest time, in ms
 * @param work calls `done` at its end
 */
export async function inTime(ms: number, work: (done: () => void) => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    new Promise<void>(work),
    new Promise<void>((done) => (timer = setTimeout(done, ms))),
  ]);
  clearTimeout(timer);
}
