/** The counts of a run of the simulation, for the report. */
export interface Counts {
  steps: number;
  requests: number;
  calls: number;
  events: number;
  deaths: number;
  crashes: number;
}
