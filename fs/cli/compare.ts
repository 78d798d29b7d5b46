/** `eventfs compare`: the designs of the discussion side by side, and the report. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SingleBar } from 'cli-progress';
import Table from 'cli-table3';
import { type Progress, type Subset, compare as run, runnable, subsetOf, writeReport } from '../../benchmarks/compare/compare.js';
import { DESIGNS } from '../../benchmarks/compare/designs/designs.js';
import { type Rows, cellTables, deathTable, laggardTable } from '../../benchmarks/compare/page/tables.js';
import { FULL, SHORT } from '../../benchmarks/compare/plan.js';
import { PROGRAMS } from '../../benchmarks/compare/program.js';
import { Refusal } from '../errno.js';
import { print } from './output.js';

export interface CompareOptions extends Subset {
  readonly full?: boolean;
  readonly out: string;
}

export async function compare(options: CompareOptions): Promise<void> {
  const plan = subsetOf(options.full === true ? FULL : SHORT, options);
  check(options, plan.cells.length);
  const progress = new Bar();
  const results = await run(plan, options, progress).finally(() => progress.end());
  writeReport(results, options.out);
  for (const rows of [...cellTables(results), laggardTable(results), deathTable(results)]) print(`\n${tableText(rows)}\n`);
  print(`\n${join(options.out, 'index.html')} has the plots, ${join(options.out, 'results.json')} all figures.\n`);
}

function check({ designs }: Subset, cells: number): void {
  const unknown = (designs ?? []).filter((id) => !DESIGNS.some((design) => design.id === id));
  if (unknown.length > 0) throw new Refusal(`there is no design ${unknown.join(', ')} (there are ${DESIGNS.map(({ id }) => id).join(', ')})`);
  if (runnable({ designs }).length === 0) throw new Refusal(`none of them can be run: ${DESIGNS.find(({ id }) => designs?.includes(id))!.unavailable!()}`);
  if (cells === 0) throw new Refusal('nothing is left to measure (see --subscribers and --bytes in eventfs compare --help)');
  if (process.getuid?.() !== 0) throw new Refusal('it mounts, and opens network namespaces (try as root)');
  if (!existsSync(PROGRAMS)) throw new Refusal(`${PROGRAMS}: the programs are not built yet (try make in the project's directory)`);
}

/** A bar on a terminal, a line a cell elsewhere. An interrupt ends the run at the next step, with nothing left behind. */
class Bar implements Progress {
  readonly #bar = new SingleBar({ format: ' {bar} {percentage}% | {value}/{total} | {eta_formatted} left | {what}', hideCursor: true, stream: process.stderr });
  readonly #isShown = process.stderr.isTTY;
  #interrupted = false;
  #cell = '';

  begin(steps: number): void {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => (this.#interrupted = true));
    if (this.#isShown) this.#bar.start(steps, 0, { what: '' });
  }

  step(what: string): void {
    if (this.#interrupted) throw new Refusal('interrupted');
    if (this.#isShown) this.#bar.increment({ what });
    const [cell] = what.split(',');
    if (!this.#isShown && cell !== this.#cell) process.stderr.write(`${cell}\n`);
    this.#cell = cell;
  }

  end(): void {
    this.#bar.stop();
  }
}

function tableText({ title, head, rows }: Rows): string {
  if (rows.length === 0) return '';
  const colAligns = head.map((_, column) => (column === 0 ? 'left' : 'right'));
  const table = new Table({ head: [...head], colAligns, style: { head: [], border: [], compact: true } });
  table.push(...rows.map((row) => [...row]));
  return `${title}\n${table.toString()}`;
}
