/**
 * Formats an event as one JSON object (`eventfs watch --json`). Two events with different texts
 * always have different objects. docs/reference/watch.schema.json is its schema.
 *
 *   { "schema": 1, "time": SECONDS, "monotonic": SECONDS, "action": TEXT, "devpath": TEXT,
 *     "source": TEXT, "queue": TEXT, "loss": NUMBER, "properties": { KEY: TEXT, ... },
 *     "more": [[TEXT, TEXT], ...] }
 *   TEXT = a string if the bytes are UTF-8, else an array of the bytes as numbers, as in
 *          `journalctl -o json`
 *
 * `properties` has the last value of each key: filters and commands use that one. `more` has the
 * other properties in order: earlier values of a repeated key, and keys that are not UTF-8. It is
 * missing if it would be empty.
 */
import { isUtf8 } from 'node:buffer';
import type { WatchedEvent } from '../commands/watch/watched-event.js';

/** The version of the schema. A change that breaks a reader of the last version increases it. */
const SCHEMA_VERSION = 1;

/** A text, or its bytes if they are not UTF-8. */
export type JsonText = string | number[];

/**
 * Formats an event.
 *
 * @returns JSON in UTF-8, one character for each byte, without a line end
 */
export function eventJson({ event, at, source, queue, loss }: WatchedEvent): string {
  const properties: [string, JsonText][] = [];
  const more: [JsonText, JsonText][] = [];
  const last = new Map(event.properties.map(([key], place) => [key, place]));
  event.properties.forEach(([key, value], place) => {
    const name = jsonText(key);
    if (typeof name === 'string' && last.get(key) === place)
      properties.push([name, jsonText(value)]);
    else more.push([name, jsonText(value)]);
  });
  const object = {
    schema: SCHEMA_VERSION,
    time: at.time,
    monotonic: at.monotonic,
    action: jsonText(event.action),
    devpath: jsonText(event.devpath),
    source: jsonText(source),
    queue: jsonText(queue),
    loss,
    properties: Object.fromEntries(properties),
    ...(more.length > 0 && { more }),
  };
  return Buffer.from(JSON.stringify(object), 'utf8').toString('latin1');
}

/**
 * Converts a text for JSON.
 *
 * @param text one character for each byte
 * @returns a string if the bytes are UTF-8, else the bytes
 */
export function jsonText(text: string): JsonText {
  const bytes = Buffer.from(text, 'latin1');
  return isUtf8(bytes) ? bytes.toString() : [...bytes];
}
