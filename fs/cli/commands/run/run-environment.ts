/**
 * The environment of a command that is run for an event.
 *
 * Whoever publishes an event must not get at the command's PATH, LD_PRELOAD, IFS or BASH_ENV. So only a device's variables
 * come under their own names; every other property gets EVENT_ before its name. Of our own environment the command gets all but what
 * could be taken for the event's: a DEVNAME that the event does not have must not be somebody else's.
 */
import { isUtf8 } from 'node:buffer';
import { isDeviceVariable } from '../../device-variables.js';
import type { EventText } from '../../../client/event-text.js';

const PREFIX = 'EVENT_';
/** What a shell takes for a name. */
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

export function environmentFor(event: EventText, own: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(own)) {
    if (!isDeviceVariable(name) && !name.startsWith(PREFIX)) environment[name] = value;
  }
  // The last value of a key counts. The header is always there, and what it says holds.
  const properties = [
    ...event.properties,
    ['ACTION', event.action],
    ['DEVPATH', event.devpath],
  ] as const;
  for (const [name, value] of properties) {
    if (NAME.test(name))
      environment[isDeviceVariable(name) ? name : `${PREFIX}${name}`] = readable(value);
  }
  return environment;
}

/** Node hands on UTF-8 only: bytes that are none are written as \xff is. Standard input has them as they are. */
function readable(value: string): string {
  const bytes = Buffer.from(value, 'latin1');
  if (isUtf8(bytes)) return bytes.toString();
  return value.replace(/[\x80-\xff]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`);
}
