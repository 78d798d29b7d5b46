/** Helpers of the tests of streams. */
import * as assert from 'uvu/assert';
import { type Calls } from '../../support/clients/clients.js';
import { daemon, directory } from '../../support/mount/mounted.js';

/** @returns `count` numbers from `first`, as values of events have them */
export const numbers = (count: number, first = 0): string[] =>
  Array.from({ length: count }, (_, i) => String(first + i));

/**
 * Yields the path of a stream of each kind. Each of them takes every event. The last one belongs to
 * a new directory.
 */
export async function* eachKind(): AsyncGenerator<string> {
  yield `${daemon.path}/stream`;
  yield `${daemon.path}/match/DEVPATH==*`;
  yield `${await directory()}/.stream`;
}

/** Reads a non-blocking stream until EAGAIN. */
export async function drainText(calls: Calls, slot: number): Promise<string> {
  let text = '';
  for (;;) {
    const { value, bytes, errno } = await calls.call('read', slot, 65_536);
    if (value <= 0) {
      assert.is(errno, 'EAGAIN');
      return text;
    }
    text += bytes;
  }
}

/** Reads a non-blocking stream until EAGAIN. @returns its records */
export async function drain(calls: Calls, slot: number): Promise<string[]> {
  return (await drainText(calls, slot)).split('\n\n').slice(0, -1);
}
