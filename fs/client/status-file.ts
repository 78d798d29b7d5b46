/** Reading a `.status` file: KEY=VALUE lines. */
import { readFileSync } from 'node:fs';

/** @param encoding of the path; values are UTF-8 */
export function readStatusFile(directory: string, encoding: BufferEncoding = 'utf8'): Map<string, string> {
  const lines = readFileSync(Buffer.from(`${directory}/.status`, encoding), 'utf8').split('\n').filter((line) => line !== '');
  return new Map(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}
