/** Standard input as a whole, also where another process has made it non-blocking. */
import { readSync } from 'node:fs';
import { isSystemError } from '../../shared/errors.js';
import { pause } from './output.js';

const STDIN = 0;
const CHUNK = 64 * 1024;

/**
 * Reads standard input to its end.
 *
 * @throws SystemError with an errno of read(2) other than EAGAIN
 */
export function readAll(): Buffer {
  const chunks: Buffer[] = [];
  for (;;) {
    const chunk = Buffer.allocUnsafe(CHUNK);
    try {
      const length = readSync(STDIN, chunk);
      if (length === 0) return Buffer.concat(chunks);
      chunks.push(chunk.subarray(0, length));
    } catch (error) {
      if (!isSystemError(error, 'EAGAIN')) throw error;
      pause();
    }
  }
}
