/**
 * The templates of `eventfs watch --format`.
 *
 *   template = { text | "{" name [":" [">"] width] "}" | "{{" | "}}" | "\n" | "\t" | "\\" }
 *
 * A name is a field of {@link FIELDS}, or the key of a property; a key may be in lower case. A
 * value has at least `width` characters: blanks follow it, or stand before it after `>`. The value
 * of a key that the event lacks is `-`.
 */
import { UsageError } from '../../../shared/errors.js';
import { kernelName } from '../../../uevent/values.js';
import { printableBytes } from '../../terminal/output.js';
import type { WatchedEvent } from './watched-event.js';

const MOST_WIDTH = 1000;
const MINUTES_PER_HOUR = 60;

/** The names that are no keys of properties. */
const FIELDS: Readonly<Record<string, (watched: WatchedEvent) => string>> = {
  time: ({ at }) => isoTime(new Date(at.time * 1000)),
  epoch: ({ at }) => at.time.toFixed(3),
  monotonic: ({ at }) => at.monotonic.toFixed(6),
  action: ({ event }) => event.action,
  devpath: ({ event }) => event.devpath,
  kernel: ({ event }) => kernelName(event.devpath),
  source: ({ source }) => source,
  queue: ({ queue }) => queue,
  loss: ({ loss }) => String(loss),
};

/** Formats one event as a line, in latin1: one character a byte. */
type LineFormat = (watched: WatchedEvent) => string;

const PARTS =
  /\{\{|\}\}|\\[nt\\]|\{([A-Za-z_][A-Za-z0-9_.]*)(?::(>?)(\d{1,4}))?\}|[^{}\\]+|\\|./gsu;

/**
 * Parses a template.
 *
 * @throws UsageError with the column of the mistake
 */
export function parseFormat(template: string): LineFormat {
  const parts = [...template.matchAll(PARTS)].map((found): LineFormat => {
    const [text, name, right, width] = found;
    if (name !== undefined) return fieldOf(name, right === '>', Number(width ?? 0), found.index);
    if (text === '{' || text === '}')
      throw new UsageError(
        `--format: column ${found.index + 1}: expected a name in braces, as in {devpath} (write ${text}${text} for ${text})`,
      );
    const plain = Buffer.from(PLAIN[text] ?? text, 'utf8').toString('latin1');
    return () => plain;
  });
  return (watched) => `${parts.map((part) => part(watched)).join('')}\n`;
}

const PLAIN: Readonly<Record<string, string>> = {
  '{{': '{',
  '}}': '}',
  '\\n': '\n',
  '\\t': '\t',
  '\\\\': '\\',
};

function fieldOf(name: string, isRight: boolean, width: number, index: number): LineFormat {
  if (width > MOST_WIDTH)
    throw new UsageError(`--format: column ${index + 1}: use a width of at most ${MOST_WIDTH}`);
  const field = Object.hasOwn(FIELDS, name) ? FIELDS[name] : propertyOf(name);
  return (watched) => {
    const value = printableBytes(field(watched));
    return isRight ? value.padStart(width) : value.padEnd(width);
  };
}

function propertyOf(name: string): (watched: WatchedEvent) => string {
  const upper = name.toUpperCase();
  return ({ event }) => event.property(name) ?? event.property(upper) ?? '-';
}

/** Formats a local time, as in `2026-11-26T09:05:01.123+01:00`. */
function isoTime(date: Date): string {
  const offset = -date.getTimezoneOffset();
  const local = new Date(date.getTime() + offset * MINUTES_PER_HOUR * 1000);
  const minutes = Math.abs(offset);
  const zone = [Math.floor(minutes / MINUTES_PER_HOUR), minutes % MINUTES_PER_HOUR]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
  return `${local.toISOString().slice(0, -1)}${offset < 0 ? '-' : '+'}${zone}`;
}
