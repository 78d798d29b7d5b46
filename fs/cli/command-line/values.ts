/**
 * Parses the values of options. A parser throws InvalidArgumentError: commander prints its message
 * after the option's name, as a usage error.
 */
import { InvalidArgumentError } from 'commander';
import { isEventName } from '../../uevent/event-name.js';
import { wholeNumber } from './numbers.js';

/** The longest time of a timer is 2^31 ms. */
const MOST_SECONDS = 2_000_000;

/** The shortest time between two readings of a mount, in seconds. */
const LEAST_INTERVAL = 0.1;

/** The actions that the kernel accepts: lib/kobject_uevent.c. */
const ACTIONS = ['add', 'remove', 'change', 'move', 'online', 'offline', 'bind', 'unbind'];

/** Parses an event's name. */
export function parseEventName(text: string): string {
  if (!isEventName(text))
    throw new InvalidArgumentError(
      "Use a SEQNUM, as in /sys/kernel/uevent_seqnum, or an event's name, as in 1041.7.",
    );
  return text;
}

/** Parses a time in seconds, which may have a fraction. */
export function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!/^(\d+\.?\d*|\.\d+)$/.test(text) || seconds > MOST_SECONDS)
    throw new InvalidArgumentError(`Use a number of seconds, at most ${MOST_SECONDS}.`);
  return seconds;
}

/** Parses a time between two readings, in seconds: at least a tenth. */
export function parseInterval(text: string): number {
  const seconds = parseSeconds(text);
  if (seconds < LEAST_INTERVAL)
    throw new InvalidArgumentError(`Use a number of seconds, at least ${LEAST_INTERVAL}.`);
  return seconds;
}

/** Parses a count of at least 1. */
export const parseCount = wholeNumber(1, 99_999);

/** Parses a count of events, of at least 1. */
export function parseEventCount(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text))
    throw new InvalidArgumentError('Use a whole number, 1 or more.');
  return Number(text);
}

/** Parses a factor of speed; 0 means without pauses. */
export function parseSpeed(text: string): number {
  if (!/^(\d{1,6}\.?\d*|\.\d+)$/.test(text))
    throw new InvalidArgumentError('Use a number from 0 to 999999, as in 2 or 0.5.');
  return Number(text);
}

/** Parses an action of a uevent. */
export function parseAction(text: string): string {
  if (!ACTIONS.includes(text)) throw new InvalidArgumentError(`Use one of ${ACTIONS.join(', ')}.`);
  return text;
}

/** Parses a UUID. */
export function parseUuid(text: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text))
    throw new InvalidArgumentError('Use a UUID, as uuidgen prints one.');
  return text;
}

/** Parses KEY=VALUE of a synthetic event, and appends it to the earlier ones. */
export function collectSynthArg(text: string, before: string[]): string[] {
  if (!/^[0-9A-Za-z]+=[0-9A-Za-z]+$/.test(text))
    throw new InvalidArgumentError('Use KEY=VALUE, of letters and digits only.');
  return [...before, text];
}
