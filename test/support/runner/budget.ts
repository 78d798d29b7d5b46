/**
 * The number of runs of a property: few by default, so that the tests stay fast. EVENTFS_TEST_RUNS
 * multiplies it for a search.
 */
const FACTOR = Number(process.env.EVENTFS_TEST_RUNS ?? 1);

/** Returns parameters for fc.assert. */
export function runs(count: number): { numRuns: number; includeErrorInReport: true } {
  return { numRuns: Math.ceil(count * FACTOR), includeErrorInReport: true };
}

/**
 * Returns this process's CPU time so far, in milliseconds. Other processes on a busy machine do not
 * change it.
 */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
