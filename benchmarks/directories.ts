/**
 * Creates directories by the thousand, with or without filters, and measures the daemon's CPU time
 * an event.
 */
import { eventText, publish } from '../test/support/clients/clients.js';
import type { Daemon, Shell } from '../test/support/mount/daemon.js';
import { cpuNs } from './daemon-costs.js';
import { median } from './programs.js';

/** The size of each event's text, in bytes. */
export const EVENT_BYTES = 300;
/** The number of events in each round. */
export const EVENTS = 1000;
/** More events than the ring holds: afterwards only queues hold the earlier ones. */
export const EVENTS_AFTER = 5000;
const ROUNDS = 5;
const MAKE_TIMEOUT_MS = 120_000;

/**
 * Creates directories that the shell owns, up to `count`.
 * @param filter returns the filter of a directory by its index, or '' for none
 * @param existing the number of directories that exist already
 */
export async function makeDirectories(
  daemon: Daemon,
  owner: Shell,
  count: number,
  filter: (index: number) => string = () => '',
  existing = 0,
): Promise<void> {
  const names = Array.from({ length: count }, (_, index) => `${owner.pid}.${index}`);
  for (let at = existing; at < count; at += 500) {
    const some = names.slice(at, at + 500);
    const filters = some
      .map((name, index) => [name, filter(at + index)])
      .filter(([, text]) => text !== '');
    const commands = [
      `cd ${daemon.path} && mkdir ${some.join(' ')}`,
      ...filters.map(([name, text]) => `echo '${text}' > ${name}/.filter`),
    ];
    const { code, out } = await owner.run(`${commands.join('\n')}\ncd /`, MAKE_TIMEOUT_MS);
    if (code !== 0) throw new Error(out);
  }
}

/**
 * Returns texts of events, each of EVENT_BYTES bytes.
 * @param more further properties
 */
export function texts(
  count: number,
  subsystem: string,
  more: Readonly<Record<string, string>> = {},
): string[] {
  return Array.from({ length: count }, (_, n) => {
    const text = eventText('/devices/n', { SUBSYSTEM: subsystem, N: n, ...more });
    return `${text}PAD=${'x'.repeat(EVENT_BYTES - text.length - 5)}\n`;
  });
}

/**
 * Publishes EVENTS events a round.
 * @returns the daemon's CPU time an event in microseconds, its share of the publishing system calls
 *   included
 */
export function cpuPerEventUs(
  daemon: Daemon,
  subsystem: string,
  more: Readonly<Record<string, string>> = {},
): number {
  return cpuUs(daemon, texts(EVENTS, subsystem, more));
}

/**
 * Publishes these events in each round.
 * @returns the daemon's CPU time an event, in microseconds
 */
export function cpuUs(daemon: Daemon, events: readonly string[]): number {
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = cpuNs(daemon.pid);
    publish(daemon.path, ...events);
    rounds.push((cpuNs(daemon.pid) - before) / events.length / 1000);
  }
  return median(rounds);
}
