/**
 * Runs files of test/unit one after the other in one process: none of them waits for a start of
 * Node, and V8 has compiled the tree already. The runner writes the files' names to standard input,
 * one a line. After each file this prints {@link endLine}.
 *
 * A file must leave the process as it was. Its failure may leave timers and processes, so the
 * runner then starts a new process for the next file.
 *
 *     node dist/test/support/runner/shared-process.js
 */
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { endLine } from './output.js';

/** The globals by which uvu's own command line runs several files. */
interface UvuGlobals {
  UVU_DEFER: number;
  UVU_INDEX: number;
  UVU_QUEUE: unknown[][];
}

const uvu = globalThis as unknown as UvuGlobals;
uvu.UVU_DEFER = 1;
uvu.UVU_INDEX = 0;
uvu.UVU_QUEUE = [];
// After the globals: uvu would run each file as soon as it is loaded.
const { exec } = (await import('uvu')) as unknown as { exec: () => Promise<void> };

/** The state of the process that a file may change only for a while. */
function state(): object {
  return { env: { ...process.env }, cwd: process.cwd(), umask: process.umask() };
}

for await (const file of createInterface({ input: process.stdin })) {
  const before = state();
  process.exitCode = 0;
  uvu.UVU_QUEUE.splice(0, Infinity, [null]);
  try {
    await import(pathToFileURL(file).href);
    await exec();
  } catch (error) {
    console.log(error);
    process.exitCode = 1;
  }
  if (!isDeepStrictEqual(state(), before)) {
    console.log(`  FAIL  ${file} leaves the environment, the directory or the umask changed`);
    process.exitCode = 1;
  }
  console.log(endLine(file, Number(process.exitCode)));
}
