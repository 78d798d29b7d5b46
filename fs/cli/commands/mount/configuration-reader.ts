/**
 * A process of its own: reads a configuration file again for a daemon that serves, and prints what
 * it finds as JSON. Its arguments are the file, and `optional` or `required`.
 */
import { writeFileSync } from 'node:fs';
import { UserError } from '../../../shared/errors.js';
import { NoRegularFile, configurationText } from './configuration-text.js';
import type { Found } from './read-again.js';

const STDOUT = 1;

function find(file: string, isOptional: boolean): Found {
  try {
    return { text: configurationText(file, { isOptional, mustBeRegular: true }) };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { error: error.message, isRegular: !(error instanceof NoRegularFile) };
  }
}

const [file, presence] = process.argv.slice(2);
writeFileSync(STDOUT, JSON.stringify(find(file, presence === 'optional')));
