/** What a run of the simulation has done. */

/** The counts of a run, for the report. */
export interface Counts {
  steps: number;
  requests: number;
  calls: number;
  events: number;
  deaths: number;
  crashes: number;
}
