/** Reading a `.status` file: KEY=VALUE lines. */
import { readFileSync } from 'node:fs';

export function readStatusFile(directory: string): Map<string, string> {
  const lines = readFileSync(`${directory}/.status`, 'utf8').split('\n').filter((line) => line !== '');
  return new Map(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}
