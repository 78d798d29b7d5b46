/**
 * An event as one JSON object (`eventfs watch --json`). Two different events never have the same one.
 *
 *   { "action": TEXT, "devpath": TEXT, "properties": { KEY: TEXT, ... }, "more": [[TEXT, TEXT], ...] }
 *   TEXT = a string where the bytes are UTF-8, else an array of the bytes as numbers, as `journalctl -o json` has them
 *
 * `properties` has the last value of each key, which counts for filters and for commands. `more` has the other properties in their
 * order: earlier values of a key that comes again, and keys that are not UTF-8. It is missing where there are none.
 */
import { isUtf8 } from 'node:buffer';
import type { EventText } from '../../client/event-text.js';

export type JsonText = string | number[];

/** @returns JSON in UTF-8 bytes, one a character, without a line end */
export function eventJson(event: EventText): string {
  const properties: [string, JsonText][] = [];
  const more: [JsonText, JsonText][] = [];
  const last = new Map(event.properties.map(([key], place) => [key, place]));
  event.properties.forEach(([key, value], place) => {
    const name = jsonText(key);
    if (typeof name === 'string' && last.get(key) === place)
      properties.push([name, jsonText(value)]);
    else more.push([name, jsonText(value)]);
  });
  const { action, devpath } = event;
  const object = {
    action: jsonText(action),
    devpath: jsonText(devpath),
    properties: Object.fromEntries(properties),
    ...(more.length > 0 && { more }),
  };
  return Buffer.from(JSON.stringify(object), 'utf8').toString('latin1');
}

/** @param text bytes as characters */
export function jsonText(text: string): JsonText {
  const bytes = Buffer.from(text, 'latin1');
  return isUtf8(bytes) ? bytes.toString() : [...bytes];
}
