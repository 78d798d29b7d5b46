/** How often a property is tried: so often that the tests stay fast, or EVENTFS_TEST_RUNS times as often for a search. */
const FACTOR = Number(process.env.EVENTFS_TEST_RUNS ?? 1);

/** Parameters for fc.assert. */
export function runs(count: number): { numRuns: number; includeErrorInReport: true } {
  return { numRuns: Math.ceil(count * FACTOR), includeErrorInReport: true };
}

/** CPU time of this process so far, in milliseconds: what a busy machine does to others does not count. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
