/** Suites with a daemon and a shell of their own. */
import * as assert from 'uvu/assert';
import { STACK_TRACE, killClients, statusOf } from '../clients/clients.js';
import {
  type Daemon,
  type DaemonSetting,
  Shell,
  mountPoint,
  startDaemon,
  until,
} from './daemon.js';
import { type Suite, suite } from '../runner/suite.js';

/** The daemon of the suite that runs. */
export let daemon: Daemon;
/** A shell that lives as long as the suite: it owns the directories that `directory` makes. */
export let shell: Shell;

/**
 * Makes a suite with a daemon. Its last test checks that no file has stayed open, and that the
 * daemon's log shows no unexpected error.
 * @param args options of `eventfs mount`
 */
export function mounted(name: string, args?: readonly string[], setting?: DaemonSetting): Suite {
  const tests = suite(name);
  tests.before(async () => {
    daemon = await startDaemon(args, mountPoint(), setting);
    shell = new Shell();
  });
  tests.after(async () => {
    await killClients();
    await shell.kill();
    await daemon.stop();
  });
  const run = (): void => {
    tests('leaves nothing open, and the daemon has nothing to complain of', async () => {
      await killClients();
      await nothingIsOpen();
      assert.not.match(daemon.log(), STACK_TRACE);
    });
    tests.run();
  };
  const test = (sentence: string, body: () => Promise<void> | void, timeoutMs?: number): void => {
    const alone = async (): Promise<void> => {
      await killClients(); // clients of a test that failed
      await body();
    };
    tests(sentence, alone, timeoutMs);
  };
  return Object.assign(test, { before: tests.before, after: tests.after, run });
}

let serial = 0;

/**
 * Makes a new directory that the shell owns.
 * @param mode octal
 * @returns its path
 */
export async function directory(mode = '0755'): Promise<string> {
  const path = `${daemon.path}/${shell.pid}.${++serial}`;
  const { code, out } = await shell.run(`mkdir -m ${mode} ${path}`);
  assert.is(code, 0, out);
  return path;
}

/**
 * Resolves once no file of the mount is open, and no blocked read holds a slot or is charged.
 * @throws Error after 20 s
 */
export async function nothingIsOpen(): Promise<void> {
  const held = (): Readonly<Record<string, string | undefined>> => {
    const { HANDLES, STREAMS, PARKED, READS } = statusOf(`${daemon.path}/log`);
    return {
      HANDLES,
      STREAMS,
      PARKED: PARKED ?? '0',
      READS,
    };
  };
  await until(
    () => Object.values(held()).every((count) => count === '0'),
    () => `something is open or waits: ${JSON.stringify(held())}`,
  );
}
