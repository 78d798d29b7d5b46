/** `publish`: writes events to the file `publish` of a mount. */
import { constants } from 'node:fs';
import { inspect } from 'node:util';
import type { CallThread } from '#native';
import { tellsOfEnd } from '../client/ended.js';
import { PUBLISH_HINTS } from '../client/publish-hints.js';
import { isSystemError } from '../shared/errors.js';
import { DEFAULT_DIRECTORY } from '../shared/kernel/mountinfo.js';
import { MAX_EVENT_BYTES } from '../uevent/text.js';
import { onAbort } from './abort.js';
import { checkOptions } from './check-options.js';
import { EventfsError, refused } from './errors.js';
import { daemonEnded, findMount, inTime, startThread } from './mounted.js';

/** How long the daemon may take for one write, in ms. */
const WRITE_TIMEOUT_MS = 10_000;

/** An event to publish. A {@link DeviceEvent} is one too. */
export interface NewEvent {
  /** The change, as in `change`. */
  readonly action: string;
  /** The device's path, which begins with a slash. */
  readonly devpath: string;
  /** More properties. ACTION and DEVPATH are set by the other members. */
  readonly properties?: Readonly<Record<string, string | number | undefined>> | undefined;
}

/** The options of {@link publish}. */
export interface PublishOptions {
  /** The directory that eventfs is mounted on (default `/dev/events`). */
  readonly mount?: string | undefined;
  /** Stops waiting: `publish` throws the signal's reason. The daemon may have the event then. */
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS = ['mount', 'signal'] as const satisfies readonly (keyof PublishOptions)[];

/**
 * Publishes events on a mount, in order. The daemon has accepted all of them when the promise
 * resolves.
 *
 * @param events one event, or several
 * @param options the mount
 * @throws EventfsError `BAD_EVENT` before anything is written; `NOT_MOUNTED`, `REFUSED`,
 *   `DAEMON_STUCK` or `DAEMON_ENDED`
 *
 * @example
 * ```ts
 * await publish({ action: 'change', devpath: '/my/thing', properties: { SUBSYSTEM: 'mine' } });
 * ```
 */
export async function publish(
  events: NewEvent | readonly NewEvent[],
  options: PublishOptions = {},
): Promise<void> {
  checkOptions('publish', options, OPTIONS);
  const { mount = DEFAULT_DIRECTORY, signal } = options;
  const bytes = Buffer.concat([events].flat().map(recordOf));
  signal?.throwIfAborted();
  const path = findMount(mount);
  if (bytes.length === 0) return;
  const thread = startThread();
  const { promise: aborted, stop } = untilAborted(signal);
  try {
    await Promise.race([aborted, write(thread, path, bytes)]);
  } finally {
    stop();
    thread.close();
  }
}

async function write(thread: CallThread, mount: string, bytes: Buffer): Promise<void> {
  const path = `${mount}/publish`;
  let taken = 0;
  try {
    const fd = await inTime(thread.open(Buffer.from(path), constants.O_WRONLY), mount);
    while (taken < bytes.length) {
      const some = await inTime(thread.write(fd, bytes.subarray(taken)), mount, WRITE_TIMEOUT_MS);
      if (some === 0)
        throw new EventfsError(
          'REFUSED',
          `${path}: the daemon accepts no more bytes (run eventfs doctor)${progress(bytes, taken)}`,
        );
      taken += some;
    }
    await inTime(thread.release(fd), mount, WRITE_TIMEOUT_MS);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    if (tellsOfEnd(error)) throw daemonEnded(mount);
    const { message, errno, cause } = refused(error, path, PUBLISH_HINTS);
    throw new EventfsError('REFUSED', `${message}${progress(bytes, taken)}`, {
      ...(errno !== undefined && { errno }),
      cause,
    });
  }
}

/** Returns how many of several events the daemon has accepted, for the end of a message. */
function progress(bytes: Buffer, taken: number): string {
  const count = recordsIn(bytes);
  return count === 1
    ? ''
    : `; ${recordsIn(bytes.subarray(0, taken))} of ${count} events were published`;
}

function recordsIn(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf('\n\n'); at >= 0; at = bytes.indexOf('\n\n', at + 2)) count++;
  return count;
}

/** Formats an event as a record. A line end in a value is written `\x0a`, as the daemon does it. */
export function recordOf(event: NewEvent): Buffer {
  check(isObject(event), 'event', event, 'an object with action and devpath');
  const { action, devpath, properties = {} } = event;
  check(
    typeof action === 'string' && /^[^\n\0@]+$/.test(action),
    'action',
    action,
    'a text without @ and line ends',
  );
  check(
    typeof devpath === 'string' && /^\/[^\n\0]*$/.test(devpath),
    'devpath',
    devpath,
    'a path that begins with /',
  );
  check(isObject(properties), 'properties', properties, 'an object of texts and numbers');
  const lines = [`${action}@${devpath}`, `ACTION=${action}`, `DEVPATH=${devpath}`];
  for (const [key, value] of Object.entries(properties)) {
    if (key === 'ACTION' || key === 'DEVPATH' || value === undefined) continue;
    check(/^[^\n\0=]+$/.test(key), 'key', key, 'a text without = and line ends');
    const isText = typeof value === 'string' || PLAIN_TYPES.includes(typeof value);
    check(isText, key, value, 'a text or a number');
    const text = String(value);
    check(!text.includes('\0'), key, text, 'a text without NUL');
    lines.push(`${key}=${text.replaceAll('\n', '\\x0a')}`);
  }
  const record = Buffer.from(`${lines.join('\n')}\n\n`);
  if (record.length - 1 > MAX_EVENT_BYTES)
    throw new EventfsError(
      'BAD_EVENT',
      `${devpath}: the event has ${record.length - 1} bytes (shorten it to ${MAX_EVENT_BYTES})`,
    );
  return record;
}

/** The types besides string whose text has no other meaning. */
const PLAIN_TYPES: readonly string[] = ['number', 'bigint', 'boolean'];

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

function check(isValid: boolean, name: string, value: unknown, wanted: string): void {
  if (isValid) return;
  const shown = typeof value === 'string' ? JSON.stringify(value) : inspect(value, SHORT);
  throw new EventfsError('BAD_EVENT', `${name}: ${shown} is not valid (use ${wanted})`);
}

const SHORT = { breakLength: Infinity, compact: true, depth: 0 };

/** Rejects once the signal aborts; `stop` removes the listener. */
function untilAborted(signal?: AbortSignal): { promise: Promise<never>; stop: () => void } {
  let stop = (): void => undefined;
  const promise = new Promise<never>((_, failed) => {
    stop = onAbort(signal, () => failed(signal?.reason as Error));
  });
  return { promise, stop };
}
