/** The counts of a run of the simulation, for the report. */
export interface Counts {
  steps: number;
  requests: number;
  calls: number;
  events: number;
  deaths: number;
  crashes: number;
  /** Daemons that have restored the tree beside one that lives. */
  reloads: number;
  /** Reloads in which the guardian is killed, so that the old daemon takes the mount back. */
  takeBacks: number;
}

/** Returns counts of nothing. */
export function noCounts(): Counts {
  return {
    steps: 0,
    requests: 0,
    calls: 0,
    events: 0,
    deaths: 0,
    crashes: 0,
    reloads: 0,
    takeBacks: 0,
  };
}
