/**
 * The trace: what a daemon does, while it does it. A user switches each kind on by `--debug`, by
 * EVENTFS_DEBUG, by the configuration file, or while the daemon runs. docs/debugging.md shows the
 * lines.
 *
 * A kind that is off is `null`, so that `trace.outlets?.(text)` does not even build the text. Where
 * a branch would cost too much, the part registers a watcher (`watch`) and replaces one of its own
 * functions: fuse/session.ts does this for requests.
 */
import type { LogFields } from './logger.js';

/** The kinds of trace, as `--debug` names them. */
export const TRACE_KINDS = ['requests', 'deaths', 'events', 'outlets', 'inotify'] as const;
/** A kind of trace. */
export type TraceKind = (typeof TRACE_KINDS)[number];

/**
 * Writes a line of the trace.
 *
 * @param text the line; names in it are quoted (escape.ts)
 * @param fields the same facts for a program, for `--log-json`
 */
export type TraceLine = (text: string, fields?: LogFields) => void;

/** Words for all kinds. */
const ALL = ['all', '1'];
/** Words for no kind. */
const NONE = ['none', '0', ''];

/**
 * Parses a list of kinds, as in `requests,deaths`.
 *
 * @returns the kinds, or the first word that names no kind
 */
export function parseKinds(text: string): readonly TraceKind[] | { readonly unknown: string } {
  if (ALL.includes(text)) return TRACE_KINDS;
  if (NONE.includes(text)) return [];
  const words = text.split(',');
  const unknown = words.find((word) => !TRACE_KINDS.some((kind) => kind === word));
  return unknown === undefined ? TRACE_KINDS.filter((kind) => words.includes(kind)) : { unknown };
}

/** The switches of all kinds. A part of the daemon calls the property of its kind. */
export class Trace {
  /** Two lines for each request: the request and its reply. */
  requests: TraceLine | null = null;
  /** One line for each owner that dies: the things that end with it. */
  deaths: TraceLine | null = null;
  /**
   * One line for each event: its source, how many directories and streams got it, and how many lost
   * an event by it.
   */
  events: TraceLine | null = null;
  /** Traces the clients of sockets, and the messages that outlets could not send. */
  outlets: TraceLine | null = null;
  /** The messages to the notifier, and its answers. */
  inotify: TraceLine | null = null;
  readonly #lines: ReadonlyMap<TraceKind, TraceLine>;
  readonly #watchers: (() => void)[] = [];

  /** @param write writes a line of the given kind */
  constructor(write: (kind: TraceKind, text: string, fields?: LogFields) => void) {
    const line =
      (kind: TraceKind): TraceLine =>
      (text, fields) =>
        write(kind, text, fields);
    this.#lines = new Map(TRACE_KINDS.map((kind) => [kind, line(kind)]));
  }

  /** Switches these kinds on, and all others off. */
  set(kinds: readonly TraceKind[]): void {
    for (const kind of TRACE_KINDS)
      this[kind] = kinds.includes(kind) ? this.#lines.get(kind)! : null;
    for (const watcher of this.#watchers) watcher();
  }

  /**
   * Switches one kind on if it is off, and off if it is on.
   *
   * @returns whether it is on now
   */
  toggle(kind: TraceKind): boolean {
    this.set(TRACE_KINDS.filter((each) => (each === kind) !== (this[each] !== null)));
    return this[kind] !== null;
  }

  /** Calls `watcher` now, and after each change of the switches. */
  watch(watcher: () => void): void {
    this.#watchers.push(watcher);
    watcher();
  }
}

/** A trace whose kinds are all off, for parts without a trace. */
export const NO_TRACE = new Trace(() => undefined);
