/** Runs a plan with all designs, and writes the report. */
import { mkdirSync, mkdtempSync, rmdirSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Say, measureCell, stepCount } from './cell.js';
import { DESIGNS, type Design } from './designs/designs.js';
import { machine } from './machine.js';
import { page } from './page/page.js';
import type { Cell, Plan } from './plan.js';
import { type Results, toJson } from './results.js';

/** A selection of a plan; absent fields select all. */
export interface Subset {
  readonly designs?: readonly string[] | undefined;
  readonly subscribers?: readonly number[] | undefined;
  readonly bytes?: readonly number[] | undefined;
}

export function subsetOf(plan: Plan, { subscribers, bytes }: Subset): Plan {
  const cells = plan.cells.filter(
    (cell) =>
      (subscribers?.includes(cell.subscribers) ?? true) && (bytes?.includes(cell.bytes) ?? true),
  );
  return { ...plan, cells };
}

/** Returns the selected designs that can run here. */
export function runnable({ designs }: Subset): Design[] {
  return DESIGNS.filter(
    (design) => (designs?.includes(design.id) ?? true) && design.unavailable?.() === undefined,
  );
}

export interface Progress {
  /** Called before the first step. */
  begin(steps: number): void;
  step(what: string): void;
}

export async function compare(plan: Plan, subset: Subset, progress: Progress): Promise<Results> {
  const designs = runnable(subset);
  const started = Date.now();
  const scratch = mkdtempSync(join(tmpdir(), 'eventfs-compare-'));
  const results: Results = {
    plan: {
      name: plan.name,
      rounds: plan.rounds,
      publishers: plan.publishers,
      floodMs: plan.floodMs,
      latencyMs: plan.latencyMs,
    },
    startedAt: new Date(started).toISOString(),
    seconds: 0,
    machine: machine(),
    load: { before: loadavg(), after: [] },
    designs: DESIGNS.filter(({ id }) => subset.designs?.includes(id) ?? true).map((design) => ({
      id: design.id,
      ...why(design.unavailable?.()),
    })),
    measured: [],
  };
  progress.begin(plan.cells.reduce((steps, cell) => steps + stepCount(designs, cell, plan), 0));
  try {
    for (const cell of plan.cells)
      results.measured.push(
        ...(await measureCell(designs, cell, plan, scratch, saying(cell, progress))),
      );
  } finally {
    rmdirSync(scratch);
  }
  results.seconds = (Date.now() - started) / 1000;
  results.load.after = loadavg();
  return results;
}

function why(unavailable: string | undefined): { unavailable?: string } {
  return unavailable === undefined ? {} : { unavailable };
}

function saying({ subscribers, bytes }: Cell, progress: Progress): Say {
  return (what) => progress.step(`${subscribers} x ${bytes} B, ${what}`);
}

/** Writes results.json and index.html. */
export function writeReport(results: Results, directory: string): void {
  mkdirSync(directory, { recursive: true });
  const json = toJson(results);
  writeFileSync(join(directory, 'results.json'), json);
  // The page shows the digits of the JSON.
  writeFileSync(join(directory, 'index.html'), page(JSON.parse(json) as Results));
}
