/**
 * The names of version 1 of the protocol (docs/reference/fleet.md): hosts and topics.
 *
 *   eventfs/1/<host>/state            retained; also the will
 *   eventfs/1/<host>/event            the host's events
 *   eventfs/1/<asker>/ask/<host>      a question about events that are missing
 *   eventfs/1/<host>/answer/<asker>   the missing events
 *
 * A host writes below its own name only.
 */
import type { Filter } from '../../uevent/filter/filter.js';

const PREFIX = 'eventfs/1/';

/** The longest name of a host, in bytes: that of a file would be 255, that of DNS is 253. */
const MOST_NAME = 128;

/** The names in the root of a mount that are never process directories, and their kin. */
const FIXED = new Set(['log', 'match', 'publish', 'stream', 'head', 'tail']);

/**
 * Tells why a host can't have this name.
 *
 * @returns a clause that says what to do; null if the name is good
 */
export function badHostName(name: string): string | null {
  if (name === '' || name.length > MOST_NAME) return `use 1 to ${MOST_NAME} characters`;
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name))
    return 'use letters, digits, dots, dashes and underscores, and begin with a letter or a digit';
  // In a mount `<pid>` and `<pid>.<label>` belong to that process.
  if (/^\d+(\.|$)/.test(name)) return 'put a letter before the number: it would name a process';
  if (FIXED.has(name)) return 'choose another name: the mount uses this one';
  return null;
}

/** The kinds of topics. `from` writes the topic; `to` is the other host of `ask` and `answer`. */
type Topic =
  | { readonly kind: 'state'; readonly from: string }
  | { readonly kind: 'event'; readonly from: string }
  | { readonly kind: 'ask' | 'answer'; readonly from: string; readonly to: string };

/**
 * Parses a topic of the network.
 *
 * @returns null if it is no topic of this version, or a name in it is bad
 */
export function parseTopic(text: string): Topic | null {
  if (!text.startsWith(PREFIX)) return null;
  const [from, kind, to, ...more] = text.slice(PREFIX.length).split('/');
  if (more.length > 0 || badHostName(from) !== null) return null;
  if (kind === 'state' || kind === 'event') return to === undefined ? { kind, from } : null;
  if (kind !== 'ask' && kind !== 'answer') return null;
  return to === undefined || badHostName(to) !== null ? null : { kind, from, to };
}

/** Returns the topic of a host's state. */
export function stateTopic(host: string): string {
  return `${PREFIX}${host}/state`;
}

/** Returns the topic of a host's events. */
export function eventTopic(host: string): string {
  return `${PREFIX}${host}/event`;
}

/** Returns the topic by which `asker` asks `host`. */
export function askTopic(asker: string, host: string): string {
  return `${PREFIX}${asker}/ask/${host}`;
}

/** Returns the topic by which `host` answers `asker`. */
export function answerTopic(host: string, asker: string): string {
  return `${PREFIX}${host}/answer/${asker}`;
}

/** Tells whether a filter whose only key is HOST takes a host. */
export function takesHost(filter: Filter, host: string): boolean {
  return filter.matches({
    action: '',
    devpath: '',
    property: (key) => (key === 'HOST' ? host : undefined),
  });
}
