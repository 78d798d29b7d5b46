/** `eventfs compare`: measures the designs of the discussion, and writes the report. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SingleBar } from 'cli-progress';
import Table from 'cli-table3';
import { type Command, InvalidArgumentError } from 'commander';
import { print } from '../../fs/cli/terminal/output.js';
import { UsageError, UserError } from '../../fs/shared/errors.js';
import { type Progress, type Subset, compare, runnable, subsetOf, writeReport } from './compare.js';
import { DESIGNS } from './designs/designs.js';
import { type Rows, cellTables, deathTable, laggardTable } from './page/tables.js';
import { FULL, SHORT } from './plan.js';
import { PROGRAMS } from './program.js';

interface CompareOptions extends Subset {
  readonly full?: boolean;
  readonly out: string;
}

/**
 * Parses the arguments, measures, and writes the report.
 *
 * @param command an empty command that prints as the others do (fs/cli/commands/compare.ts)
 * @param args what follows `compare` on the command line
 * @throws UserError if it cannot run
 */
export async function main(command: Command, args: readonly string[]): Promise<void> {
  await command
    .description(
      'measure eventfs side by side with sockets, netlink, passed descriptors and plain files; writes a report with plots',
    )
    .option('--full', 'all sizes and numbers of subscribers: 12 minutes instead of 2')
    .option('--out <dir>', 'the directory of index.html and results.json', 'eventfs-compare')
    .option('--designs <names>', 'only these designs, with commas between them', (text) =>
      text.split(','),
    )
    .option(
      '--subscribers <numbers>',
      'only these numbers of subscribers, as in 16,256',
      parseNumbers,
    )
    .option('--bytes <numbers>', 'only with events of these sizes, as in 300,2048', parseNumbers)
    .addHelpText(
      'after',
      '\nExample:\n  eventfs compare --designs own-stream,socket --subscribers 16,256',
    )
    .action(measure)
    .parseAsync(args, { from: 'user' });
}

async function measure(options: CompareOptions): Promise<void> {
  const plan = subsetOf(options.full === true ? FULL : SHORT, options);
  check(options, plan.cells.length);
  const progress = new Bar();
  const results = await compare(plan, options, progress).finally(() => progress.end());
  writeReport(results, options.out);
  for (const rows of [...cellTables(results), laggardTable(results), deathTable(results)])
    print(`\n${tableText(rows)}\n`);
  print(
    `\n${join(options.out, 'index.html')} has the plots, ${join(options.out, 'results.json')} all figures.\n`,
  );
}

function parseNumbers(text: string): number[] {
  const numbers = text.split(',').map(Number);
  if (numbers.every((number) => Number.isInteger(number) && number > 0)) return numbers;
  throw new InvalidArgumentError('It is numbers with commas between them, as in 16,256.');
}

function check({ designs }: Subset, cells: number): void {
  const unknown = (designs ?? []).filter((id) => !DESIGNS.some((design) => design.id === id));
  if (unknown.length > 0)
    throw new UsageError(
      `there is no design ${unknown.join(', ')} (there are ${DESIGNS.map(({ id }) => id).join(', ')})`,
    );
  if (runnable({ designs }).length === 0)
    throw new UserError(
      `none of them can be run: ${DESIGNS.find(({ id }) => designs?.includes(id))!.unavailable!()}`,
    );
  if (cells === 0)
    throw new UsageError(
      'the plan has no such cell (see --subscribers and --bytes in eventfs compare --help)',
    );
  if (process.getuid?.() !== 0)
    throw new UserError('it mounts, and opens network namespaces (try as root)');
  if (!existsSync(PROGRAMS))
    throw new UserError(
      `${PROGRAMS}: the programs are not built yet (try make in the project's directory)`,
    );
}

/**
 * Shows progress: a bar on a terminal, else a line a cell. An interrupt ends the run at the next
 * step.
 */
class Bar implements Progress {
  readonly #bar = new SingleBar({
    format: ' {bar} {percentage}% | {value}/{total} | {eta_formatted} left | {what}',
    hideCursor: true,
    stream: process.stderr,
  });
  readonly #isShown = process.stderr.isTTY;
  #interrupted = false;
  #cell = '';

  begin(steps: number): void {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => (this.#interrupted = true));
    if (this.#isShown) this.#bar.start(steps, 0, { what: '' });
  }

  step(what: string): void {
    if (this.#interrupted) throw new UserError('interrupted');
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
  const table = new Table({
    head: [...head],
    colAligns,
    style: { head: [], border: [], compact: true },
  });
  table.push(...rows.map((row) => [...row]));
  return `${title}\n${table.toString()}`;
}
