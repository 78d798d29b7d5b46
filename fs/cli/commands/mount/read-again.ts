/**
 * Reads a configuration file while a daemon serves. Another process opens the path: a user may have
 * made it lead into the mount or to one that hangs, and a daemon that opened it would wait for
 * itself. A thread could not be ended.
 */
import { fileURLToPath } from 'node:url';
import { startProcess } from '../../../shared/start-process.js';

const READER = fileURLToPath(new URL('./configuration-reader.js', import.meta.url));
/** How long the process may take, in milliseconds. The daemon serves meanwhile. */
const MOST_MS = 5000;

/** The result of a read. */
export type Found =
  /** The text; null if there is no file, and none is required. */
  | { readonly text: string | null }
  /** The reason why it can't be read; `isRegular` is false for a pipe or a device. */
  | { readonly error: string; readonly isRegular: boolean };

/**
 * Reads the file. It keeps no process from ending.
 *
 * @param isOptional whether the file may be missing
 */
export async function readAgain(file: string, isOptional: boolean): Promise<Found> {
  return new Promise((done) => {
    const fail = (why: string): void => done({ error: `${file}: ${why}`, isRegular: true });
    const child = startProcess(
      process.execPath,
      [READER, file, isOptional ? 'optional' : 'required'],
      { stdio: ['ignore', 'pipe', 'ignore'] },
      (error) => fail(`no process can be started to read it: ${error.message}`),
    );
    if (child === null) return;
    const late = setTimeout(() => {
      // It may not end before the mount does that it waits for. So this process does not wait.
      child.kill('SIGKILL');
      child.stdout!.destroy();
      fail(
        `it could not be read within ${MOST_MS / 1000} s (does the path lead to a mount that hangs?)`,
      );
    }, MOST_MS);
    let text = '';
    child.stdout!.setEncoding('utf8').on('data', (part: string) => (text += part));
    child.once('close', (code) => {
      clearTimeout(late);
      if (code !== 0) fail('the process that reads it has failed');
      else done(JSON.parse(text) as Found);
    });
    late.unref();
    child.unref();
    (child.stdout as Partial<{ unref(): void }>).unref?.();
  });
}
