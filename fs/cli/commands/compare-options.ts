/** The options of `eventfs compare`. */
import { type Command, InvalidArgumentError } from 'commander';
import type { CompareOptions } from './compare.js';

export function addCompare(program: Command): void {
  program
    .command('compare')
    .description('measure eventfs side by side with sockets, netlink, passed descriptors and plain files; writes a report with plots')
    .option('--full', 'all sizes and numbers of subscribers: 12 minutes instead of 2')
    .option('--out <dir>', 'where index.html and results.json go', 'eventfs-compare')
    .option('--designs <names>', 'only these, with commas between them', (text) => text.split(','))
    .option('--subscribers <numbers>', 'only with so many, as in 16,256', parseNumbers)
    .option('--bytes <numbers>', 'only with events of these sizes, as in 300,2048', parseNumbers)
    .action(async (options: CompareOptions) => {
      await (await import('./compare.js')).compare(options);
    });
}

function parseNumbers(text: string): number[] {
  const numbers = text.split(',').map(Number);
  if (numbers.every((number) => Number.isInteger(number) && number > 0)) return numbers;
  throw new InvalidArgumentError('It is numbers with commas between them, as in 16,256.');
}
