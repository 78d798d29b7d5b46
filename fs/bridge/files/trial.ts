/** Tries what a bridge does with its directories, for `--check`. */
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';

/** As much as a small filesystem gives at once. */
const BYTES = 4096;

/**
 * Writes a file into a directory and removes it: a full disk shows itself only then.
 *
 * @throws SystemError with the reason why no file can be written there
 */
export function tryWrite(directory: string): void {
  const path = `${directory}/.bridge-check-${process.pid}`;
  const fd = openSync(path, 'wx', 0o600);
  try {
    writeSync(fd, Buffer.alloc(BYTES));
  } finally {
    closeSync(fd);
    unlinkSync(path);
  }
}
