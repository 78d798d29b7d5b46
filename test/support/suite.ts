/**
 * Tests in uvu's suites, each with a time limit: a test that hangs fails. Where a test has failed, the file ends what it has
 * left, and itself: shells, actors, readers, daemons, timers and servers would keep it alive.
 */
import { suite as uvuSuite, type Test } from 'uvu';
import { within } from './daemon.js';
import { endDescendants } from './descendants.js';

const TIMEOUT_MS = 30_000;
/** How long a file in which a test has failed may stay alive once all that it has started is dead. */
const LINGER_MS = 1000;

export interface Suite {
  (name: string, body: () => Promise<void> | void, timeoutMs?: number): void;
  /** A test that fails for a reason that is known: not run, but counted. */
  readonly skip: (name: string, body: () => Promise<void> | void) => void;
  readonly before: (hook: () => Promise<void> | void) => void;
  readonly after: (hook: () => Promise<void> | void) => void;
  readonly run: () => void;
}

/** Tests that run, where not all do: a pattern of their sentences, in the environment's EVENTFS_TEST_NAMES. */
const NAMES = new RegExp(process.env.EVENTFS_TEST_NAMES ?? '');

/** Suites of this file that have not ended. */
let running = 0;
/** Whether a test or a hook of this file has failed. */
let hasFailed = false;

/** A suite whose tests read as sentences: `directory('vanishes when its owner dies', ...)`. */
export function suite(name: string): Suite {
  const inner: Test = uvuSuite(name);
  const test = (
    sentence: string,
    body: () => Promise<void> | void,
    timeoutMs = TIMEOUT_MS,
  ): void => {
    if (!NAMES.test(sentence)) return;
    inner(sentence, async () => {
      try {
        await within(timeoutMs, Promise.resolve(body()), `'${name} ${sentence}' did not end`);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    });
  };
  return Object.assign(test, {
    skip: (sentence: string, body: () => Promise<void> | void) =>
      inner.skip(sentence, async () => body()),
    // uvu runs no test after an error of `before`, and does not say the error.
    before: (hook: () => Promise<void> | void) =>
      inner.before(async () => {
        try {
          await hook();
        } catch (error) {
          tellOfHook(`before '${name}'`, error);
          throw error;
        }
      }),
    // An error of `after` would end the file, without the other hooks and without a count.
    after: (hook: () => Promise<void> | void) =>
      inner.after(async () => {
        try {
          await hook();
        } catch (error) {
          tellOfHook(`after '${name}'`, error);
        }
      }),
    run: () => {
      running++;
      inner.after(endOfSuite);
      inner.run();
    },
  });
}

/** Says an error of a hook; the file fails by its exit code, whatever its tests have counted. */
function tellOfHook(which: string, error: unknown): void {
  console.error(
    `\n  FAIL  ${which}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  );
  if (!hasFailed) process.on('exit', () => (process.exitCode = 1));
  hasFailed = true;
}

/** After the last hook of the last suite. */
async function endOfSuite(): Promise<void> {
  if (--running > 0 || !hasFailed) return;
  await endDescendants();
  // Timers and servers are nothing that can be found; uvu has said its counts by then.
  setTimeout(() => process.exit(), LINGER_MS).unref();
}
