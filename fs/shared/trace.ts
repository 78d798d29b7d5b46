/**
 * What a daemon does, as it does it: each kind is switched on by `--debug`, EVENTFS_DEBUG, the configuration file, or while the
 * daemon runs. docs/debugging.md shows the lines.
 *
 * A kind that is off is `null`, and `trace.outlets?.(text)` does not even make the text. Where a branch would cost too much the
 * part has itself told (`watch`) and puts something else in its own place: a request is looked at by fuse/session.ts.
 */
import type { LogFields } from './logger.js';

export const TRACE_KINDS = ['requests', 'deaths', 'events', 'outlets', 'inotify'] as const;
export type TraceKind = (typeof TRACE_KINDS)[number];

/**
 * Writes a line of the trace.
 *
 * @param text names in it are quoted (escape.ts)
 * @param fields what a program may want of it, for `--log-json`
 */
export type TraceLine = (text: string, fields?: LogFields) => void;

/** Words for all kinds, and for none. */
const ALL = ['all', '1'];
const NONE = ['none', '0', ''];

/** The kinds that a text names, as in `requests,deaths`, or the word that is none. */
export function parseKinds(text: string): readonly TraceKind[] | { readonly unknown: string } {
  if (ALL.includes(text)) return TRACE_KINDS;
  if (NONE.includes(text)) return [];
  const words = text.split(',');
  const unknown = words.find((word) => !TRACE_KINDS.some((kind) => kind === word));
  return unknown === undefined ? TRACE_KINDS.filter((kind) => words.includes(kind)) : { unknown };
}

export class Trace {
  /** Two lines a request: what the kernel asks, and what it is answered. */
  requests: TraceLine | null = null;
  /** One line for each owner that dies: what ends with it. */
  deaths: TraceLine | null = null;
  /** One line an event: where it came from, and how many got it or lost one by it. */
  events: TraceLine | null = null;
  /** The clients of sockets, and what outlets could not send. */
  outlets: TraceLine | null = null;
  /** What the helper that raises inotify events is told, and what it answers. */
  inotify: TraceLine | null = null;
  readonly #lines: ReadonlyMap<TraceKind, TraceLine>;
  readonly #watchers: (() => void)[] = [];

  constructor(write: (kind: TraceKind, text: string, fields?: LogFields) => void) {
    const line =
      (kind: TraceKind): TraceLine =>
      (text, fields) =>
        write(kind, text, fields);
    this.#lines = new Map(TRACE_KINDS.map((kind) => [kind, line(kind)]));
  }

  /** Switches these kinds on and all others off. */
  set(kinds: readonly TraceKind[]): void {
    for (const kind of TRACE_KINDS)
      this[kind] = kinds.includes(kind) ? this.#lines.get(kind)! : null;
    for (const watcher of this.#watchers) watcher();
  }

  /** Switches one kind on where it is off, and off where it is on. @returns whether it is on now */
  toggle(kind: TraceKind): boolean {
    this.set(TRACE_KINDS.filter((each) => (each === kind) !== (this[each] !== null)));
    return this[kind] !== null;
  }

  /** Calls `watcher` now, and whenever a kind is switched. */
  watch(watcher: () => void): void {
    this.#watchers.push(watcher);
    watcher();
  }
}

/** For parts that nobody traces. */
export const NO_TRACE = new Trace(() => undefined);
