/**
 * Makes the environment of a command that `eventfs run` starts for an event.
 *
 * A publisher must not control the command's PATH, LD_PRELOAD, IFS or BASH_ENV. So only a device's
 * variables keep their names; all other properties get the prefix EVENT_. The command inherits this
 * process's environment, except variables that look like the event's: if the event has no DEVNAME,
 * the command must not see an inherited one.
 */
import { isUtf8 } from 'node:buffer';
import { isDeviceVariable } from '../../device-variables.js';
import type { EventText } from '../../../client/events/text.js';

const PREFIX = 'EVENT_';
/** A name that a shell accepts. */
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * Makes a command's environment.
 *
 * @param event the event, whose header determines ACTION and DEVPATH
 * @param own the environment of this process
 */
export function environmentFor(event: EventText, own: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(own)) {
    if (!isDeviceVariable(name) && !name.startsWith(PREFIX)) environment[name] = value;
  }
  // The last value of a key wins. The header comes last: it always exists and is authoritative.
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

/**
 * Converts a value for spawn: Node passes on only UTF-8. Each byte from 0x80 on of other text is
 * written as in `\xff`. The command's standard input has the bytes unchanged.
 */
function readable(value: string): string {
  const bytes = Buffer.from(value, 'latin1');
  if (isUtf8(bytes)) return bytes.toString();
  return value.replace(/[\x80-\xff]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`);
}
