/**
 * The daemon's log, one line for each message: on standard error or to syslog, as text or as JSON.
 *
 *   a part of the daemon --> Logger --rate-limit.ts--> LineLogger --> standard-error.ts, or syslog
 *   a line of the trace (trace.ts) -------------------------^
 */
import { visible } from '../escape.js';
import { LOG_LEVELS, type LogLevel } from './log-levels.js';
import { StandardError } from './standard-error.js';

/**
 * The methods with which the parts of the daemon write messages. `console` implements it, and so
 * does a logger of pino.
 */
export interface Logger {
  /**
   * Logs a failure of the daemon's own work.
   *
   * @param error an unexpected error, whose stack the log shows too
   */
  error(message: string, error?: unknown): void;
  /** Logs a problem that does not stop the daemon. */
  warn(message: string): void;
  /** Logs a change. */
  info(message: string): void;
  /** Logs a step of the daemon's work, for users who search for a fault. */
  debug(message: string): void;
}

/** A logger that discards every message. */
export const SILENT: Logger = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
};

/** The options of a {@link LineLogger}. */
export interface LogOptions {
  /**
   * The least grave level that is logged. Lines of the trace are always logged: the user has
   * switched on their kind.
   */
  readonly level: LogLevel;
  /** Whether a line is a JSON object. */
  readonly isJson: boolean;
}

/** Additional members of a JSON line. */
export type LogFields = Readonly<Record<string, string | number | undefined>>;

/** Sends one line, without its line end, to syslog(3). */
type Syslog = (line: string, level: LogLevel) => void;

/** Formats messages and lines of the trace, and sends them to standard error or syslog. */
export class LineLogger implements Logger {
  #options: LogOptions;
  #syslog: Syslog | null = null;
  /** The messages that wait for {@link configure}; null: none waits. */
  #held: (() => void)[] | null = null;
  readonly #standardError = new StandardError((count) => this.#lost(count));

  /** @param command the name of the subcommand, which each message shows */
  constructor(
    private readonly command: string,
    options: LogOptions,
  ) {
    this.#options = options;
  }

  /**
   * Keeps messages until {@link configure} or {@link release}: the options, or the way to syslog,
   * are not known yet.
   */
  hold(): void {
    this.#held ??= [];
  }

  /** Sets the options of all later messages, and of those that wait. */
  configure(options: LogOptions): void {
    this.#options = options;
    this.release();
  }

  /** Writes the messages that wait. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const say of held) say();
  }

  /** Whether a line is a JSON object. */
  get isJson(): boolean {
    return this.#options.isJson;
  }

  /** Sends all later messages to syslog instead of standard error. */
  sendTo(syslog: Syslog): void {
    this.#syslog = syslog;
  }

  /**
   * Prepares for the daemon's end. Even without a reader, the text that waits delays the exit only
   * for a moment (see standard-error.ts).
   */
  close(): void {
    this.#standardError.close();
  }

  error(message: string, error?: unknown): void {
    if (error === undefined) this.#say('error', message);
    else this.#say('error', `${message}: ${textOf(error)}`, callsOf(error));
  }

  warn(message: string): void {
    this.#say('warn', message);
  }

  info(message: string): void {
    this.#say('info', message);
  }

  debug(message: string): void {
    this.#say('debug', message);
  }

  /**
   * Writes a line of the trace.
   *
   * @param kind the kind of trace that the user has switched on
   * @param fields additional members of a JSON line
   */
  trace(kind: string, text: string, fields: LogFields = {}): void {
    const { isJson } = this.#options;
    const line = isJson
      ? json({ ...base('debug'), kind, msg: text, ...fields })
      : `${kind}: ${visible(text)}`;
    if (this.#syslog !== null) this.#syslog(line, 'debug');
    else this.#standardError.trace(isJson ? `${line}\n` : `eventfs: ${line}\n`);
  }

  /** @param calls the lines of the error's stack */
  #say(level: LogLevel, message: string, calls: readonly string[] = []): void {
    if (this.#held !== null) {
      this.#held.push(() => this.#say(level, message, calls));
      return;
    }
    const { level: least, isJson } = this.#options;
    if (LOG_LEVELS.indexOf(level) > LOG_LEVELS.indexOf(least)) return;
    const stack = calls.length === 0 ? {} : { stack: calls.join('\n') };
    const lines = isJson
      ? [json({ ...base(level), msg: message, ...stack })]
      : [visible(message), ...calls.map(visible)];
    if (this.#syslog !== null) for (const line of lines) this.#syslog(line, level);
    else this.#standardError.message(this.#text(lines));
  }

  #text(lines: readonly string[]): string {
    const text = `${lines.join('\n')}\n`;
    return this.#options.isJson ? text : `eventfs: ${this.command}: ${text}`;
  }

  /** Returns the line that reports dropped lines. */
  #lost(count: number): string {
    const message = `the log dropped ${count} lines: the reader of standard error is too slow`;
    return this.#text([this.#options.isJson ? json({ ...base('warn'), msg: message }) : message]);
  }
}

function base(level: LogLevel): { time: string; level: LogLevel; pid: number } {
  return { time: new Date().toISOString(), level, pid: process.pid };
}

/**
 * Formats one line of JSON. It also escapes the control characters that JSON allows, because they
 * could move a terminal's cursor.
 */
function json(value: object): string {
  return JSON.stringify(value).replace(
    /[\x7f-\x9f\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Returns a thrown value as text: mostly an Error's name and message. */
function textOf(error: unknown): string {
  return String(error);
}

/** Returns the lines of an error's stack that name calls. */
function callsOf(error: unknown): readonly string[] {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  return stack.split('\n').filter((line) => /^ +at /.test(line));
}
