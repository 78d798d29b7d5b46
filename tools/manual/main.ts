/**
 * Writes the manual's pages, or the completions of shells, into a directory (`make man
 * completions`).
 *
 *     node dist/tools/manual/main.js man|completions DIRECTORY
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { completions, manual } from './product.js';

const [kind, directory] = process.argv.slice(2);
if ((kind !== 'man' && kind !== 'completions') || directory === undefined)
  throw new Error('usage: node dist/tools/manual/main.js man|completions DIRECTORY');

const files =
  kind === 'man'
    ? manual().map(({ file, roff }) => [file, roff] as const)
    : Object.entries(completions());
mkdirSync(directory, { recursive: true });
for (const [file, text] of files) writeFileSync(join(directory, file), text);
