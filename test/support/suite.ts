/** Tests in uvu's suites, each with a time limit: what hangs fails. */
import { suite as uvuSuite, type Test } from 'uvu';
import { within } from './daemon.js';

const TIMEOUT_MS = 30_000;

export interface Suite {
  (name: string, body: () => Promise<void> | void, timeoutMs?: number): void;
  /** A test that fails for a reason that is known: not run, but counted. */
  readonly skip: (name: string, body: () => Promise<void> | void) => void;
  readonly before: (hook: () => Promise<void> | void) => void;
  readonly after: (hook: () => Promise<void> | void) => void;
  readonly run: () => void;
}

/** A suite whose tests read as sentences: `directory('vanishes when its owner dies', ...)`. */
export function suite(name: string): Suite {
  const inner: Test = uvuSuite(name);
  const test = (sentence: string, body: () => Promise<void> | void, timeoutMs = TIMEOUT_MS): void => {
    inner(sentence, () => within(timeoutMs, Promise.resolve(body()), `'${name} ${sentence}' did not end`));
  };
  return Object.assign(test, {
    skip: (sentence: string, body: () => Promise<void> | void) => inner.skip(sentence, async () => body()),
    before: (hook: () => Promise<void> | void) => inner.before(async () => hook()),
    after: (hook: () => Promise<void> | void) => inner.after(async () => hook()),
    run: () => inner.run(),
  });
}
