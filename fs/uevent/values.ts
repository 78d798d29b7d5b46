/**
 * The parser of an event's text (see text.ts): its action, its devpath and its properties. The
 * daemon matches filters with them, and the commands show them.
 *
 * A user may write any text into an event's file, so the parser accepts any text. A line without a
 * key or without `=` is no property.
 */

/** The values that a filter matches. They are latin1: one character a byte. */
export interface Matchable {
  /** The action, from the header line or from ACTION. */
  readonly action: string;
  readonly devpath: string;
  /** The result of {@link kernelName} for devpath, if the event keeps it for all filters. */
  readonly kernel?: string;
  /** {@link tagsOf} TAGS, if the event computes them once for all filters. */
  readonly tags?: ReadonlySet<string>;
  /** The way by which the event came (event-source.ts), if the reader knows it. */
  readonly source?: string;
  /** Returns the value of a property, or undefined if the event has none. */
  property(key: string): string | undefined;
}

/** The place that parsed properties go to. A Map keeps the last value of a repeated key. */
export interface Properties {
  get(key: string): string | undefined;
  /** Adds a property. The parser calls it in the order of the text. */
  set(key: string, value: string): unknown;
}

/**
 * Parses `KEY=VALUE` lines.
 * @param text latin1, one character a byte
 * @param start the offset of the first line
 * @param properties receives each property
 */
export function parseProperties(
  text: string,
  start: number,
  properties: Pick<Properties, 'set'>,
): void {
  for (let at = start; at < text.length;) {
    const end = lineEnd(text, at);
    const equals = text.indexOf('=', at);
    if (equals > at && equals < end)
      properties.set(text.slice(at, equals), text.slice(equals + 1, end));
    at = end + 1;
  }
}

/** The values of one event's text, parsed once for all filters. */
export class EventValues<P extends Properties> implements Matchable {
  /** The header line up to its first `@/`; empty if it has none. */
  readonly action: string;
  /** The header line from the `/` of its first `@/` on; empty if it has none. */
  readonly devpath: string;
  #kernel: string | null = null;
  #tags: ReadonlySet<string> | null = null;

  /**
   * @param text latin1, one character a byte
   * @param properties receives the properties
   */
  constructor(
    text: string,
    readonly properties: P,
  ) {
    const end = lineEnd(text, 0);
    const at = text.indexOf('@/');
    const isHeader = at >= 0 && at < end;
    this.action = isHeader ? text.slice(0, at) : '';
    this.devpath = isHeader ? text.slice(at + 1, end) : '';
    parseProperties(text, end + 1, properties);
  }

  /** {@link kernelName} of the devpath. */
  get kernel(): string {
    return (this.#kernel ??= kernelName(this.devpath));
  }

  /** {@link tagsOf} TAGS. */
  get tags(): ReadonlySet<string> {
    return (this.#tags ??= tagsOf(this.properties.get('TAGS')));
  }

  property(key: string): string | undefined {
    return this.properties.get(key);
  }
}

/** The most tags that are read. udev's own rules give a device ten tags at most. */
const MOST_TAGS = 64;
/** The most bytes of TAGS that are read. */
const MOST_TAGS_BYTES = 4 * 1024;

/**
 * Returns the value of KERNEL: the last part of DEVPATH. Drivers write `!` for a `/` in a name
 * (`cciss!c0d0`); eventfs turns it back, as udev does.
 */
export function kernelName(devpath: string): string {
  return devpath.slice(devpath.lastIndexOf('/') + 1).replaceAll('!', '/');
}

const NO_TAGS: ReadonlySet<string> = new Set(['']);

/**
 * Splits a value of TAGS: `:a:b:` has the tags a and b. A value without tags has one empty tag, as
 * a missing property has an empty value. The tags after the first MOST_TAGS tags or MOST_TAGS_BYTES
 * bytes are ignored.
 * @param value latin1, one character a byte
 */
export function tagsOf(value = ''): ReadonlySet<string> {
  const tags = new Set<string>();
  for (const tag of value.slice(0, MOST_TAGS_BYTES).split(':', 2 * MOST_TAGS))
    if (tag !== '' && tags.size < MOST_TAGS) tags.add(tag);
  return tags.size > 0 ? tags : NO_TAGS;
}

/** Returns the offset of the next line end from `from` on, or of the text's end. */
function lineEnd(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end < 0 ? text.length : end;
}
