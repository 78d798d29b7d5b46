/**
 * Adds a time limit to each test of uvu's suites, so that a test that hangs fails. If a test has
 * failed, the file ends the processes that it has started, and itself. Otherwise shells, actors,
 * readers, daemons, timers and servers would keep it alive.
 */
import { suite as uvuSuite, type Test } from 'uvu';
import { within } from '../mount/daemon.js';
import { endDescendants } from './descendants.js';
import { SKIPPED } from './output.js';

const TIMEOUT_MS = 30_000;
/** The time until a file with a failed test exits, once all its processes are dead. */
const LINGER_MS = 1000;

/** A suite whose tests have a time limit. */
export interface Suite {
  (name: string, body: () => Promise<void> | void, timeoutMs?: number): void;
  readonly before: (hook: () => Promise<void> | void) => void;
  readonly after: (hook: () => Promise<void> | void) => void;
  readonly run: () => void;
}

/** Selects the tests to run: a pattern of their sentences, from EVENTFS_TEST_NAMES. */
const NAMES = new RegExp(process.env.EVENTFS_TEST_NAMES ?? '');

/** The error by which a test says that it can't run here. */
class Skip extends Error {}

/**
 * Ends a test that can't run here. The runner prints the reason, and counts the test as skipped.
 * @param why the reason, as the name of a missing program
 */
export function skip(why: string): never {
  throw new Skip(why);
}

/** A test that runs side by side with others of its suite. */
interface Waiting {
  readonly begin: () => void;
  readonly end: Promise<void>;
}

/** The number of suites of this file that have not ended. */
let running = 0;
/** True if a test or a hook of this file has failed. */
let hasFailed = false;

/**
 * Makes a suite whose tests read as sentences: `directory('vanishes when its owner dies', ...)`.
 * @param name the subject of the sentences
 */
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
        if (error instanceof Skip) {
          console.log(`\n${SKIPPED}${name} ${sentence}: ${error.message.trim()}`);
          return;
        }
        hasFailed = true;
        throw error;
      }
    });
  };
  return Object.assign(test, {
    // uvu runs no test after an error of `before`, and does not print the error.
    before: (hook: () => Promise<void> | void) =>
      inner.before(async () => {
        try {
          await hook();
        } catch (error) {
          tellOfHook(`before '${name}'`, error);
          throw error;
        }
      }),
    // An error of `after` would end the file, without the other hooks and the counts.
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

/**
 * Lets the tests of a suite run side by side, as many as `most` at once, in the order in which they
 * are registered. This is for tests that mostly wait: each has a mount of its own, takes no uevent
 * of another test's mount for its own, and measures nothing.
 * @returns what registers such a test; one that must run alone goes into the suite before them
 */
export function sideBySide(tests: Suite, most: number): Suite {
  const waiting: Waiting[] = [];
  let busy = 0;
  const beginMore = (): void => {
    for (; busy < most && waiting.length > 0; busy++) waiting.shift()!.begin();
  };
  const test = (
    sentence: string,
    body: () => Promise<void> | void,
    timeoutMs = TIMEOUT_MS,
  ): void => {
    if (!NAMES.test(sentence)) return;
    let begin!: () => void;
    const end = new Promise<void>((done) => (begin = done)).then(async () =>
      within(timeoutMs, Promise.resolve(body()), `'${sentence}' did not end`),
    );
    const over = (): void => {
      busy--;
      beginMore();
    };
    end.then(over, over);
    waiting.push({ begin, end });
    tests(
      sentence,
      async () => {
        beginMore();
        await end;
      },
      2 * timeoutMs,
    );
  };
  return Object.assign(test, tests);
}

/** Prints an error of a hook. The file's exit code becomes 1, whatever its tests have counted. */
function tellOfHook(which: string, error: unknown): void {
  console.error(
    `\n  FAIL  ${which}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  );
  if (!hasFailed) process.on('exit', () => (process.exitCode = 1));
  hasFailed = true;
}

/** Ends this file's processes after the last hook of the last suite, if a test has failed. */
async function endOfSuite(): Promise<void> {
  if (--running > 0 || !hasFailed) return;
  await endDescendants();
  // Timers and servers can't be found and ended; uvu has printed its counts by then.
  setTimeout(() => process.exit(), LINGER_MS).unref();
}
