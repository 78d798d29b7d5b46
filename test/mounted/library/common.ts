/** Code that the tests of the library share. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { EventfsError, type EventOrLoss, type Subscription } from '../../../fs/index.js';
import { within } from '../../support/mount/daemon.js';

const NEXT_MS = 10_000;

/** Returns the DEVPATHs of the next events, and the numbers of losses. */
export async function take(events: Subscription, count: number): Promise<(string | number)[]> {
  const taken: (string | number)[] = [];
  while (taken.length < count) {
    const { value } = await within(NEXT_MS, events.next(), 'no event came');
    const item = value as EventOrLoss;
    taken.push(item.type === 'loss' ? item.lost : item.devpath);
  }
  return taken;
}

/** Returns the error of a promise that must reject with an EventfsError in time. */
export async function failure(promise: Promise<unknown>): Promise<EventfsError> {
  try {
    await within(NEXT_MS, promise, 'it did not fail');
  } catch (error) {
    assert.ok(error instanceof EventfsError, String(error));
    return error;
  }
  return assert.unreachable('it did not fail') as never;
}

/**
 * Counts the things that this process holds: descriptors, threads, and handles of the event loop.
 */
export function held(): { descriptors: number; threads: number; handles: number } {
  return {
    descriptors: readdirSync('/proc/self/fd').filter((fd) => existsSync(`/proc/self/fd/${fd}`))
      .length,
    threads: readdirSync('/proc/self/task').length,
    // the timers are those of the test
    handles: process.getActiveResourcesInfo().filter((kind) => kind !== 'Timeout').length,
  };
}

/** Returns the bytes that wait in this process's socket of a netlink group: /proc/net/netlink. */
export function waitingBytes(group: number): number {
  const own = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1').match(/^ino:\t(\d+)$/m)?.[1]];
    } catch {
      return []; // the descriptor of this listing
    }
  });
  const NETLINK_KOBJECT_UEVENT = '15';
  const rows = readFileSync('/proc/net/netlink', 'latin1').trim().split('\n').slice(1);
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter(
      ([, protocol, , groups]) =>
        protocol === NETLINK_KOBJECT_UEVENT && Number(`0x${groups}`) === 1 << (group - 1),
    )
    .filter((fields) => own.includes(fields[9]))
    .reduce((sum, fields) => sum + Number(fields[4]), 0);
}
