/**
 * What a daemon says, one line a message: on standard error or to syslog, as text or as JSON.
 *
 *   a part of the daemon --> Logger --rate-limit.ts--> LineLogger --> standard-error.ts, or syslog
 *   a line of the trace (trace.ts) -------------------------^
 */
import { visible } from './escape.js';
import { LOG_LEVELS, type LogLevel } from './log-levels.js';
import { StandardError } from './standard-error.js';

/** Where the parts of the daemon say things. The `console` is one, and a logger of pino's. */
export interface Logger {
  /**
   * Something has failed that the daemon is there for.
   * @param error an unexpected one: its stack is shown too
   */
  error(message: string, error?: unknown): void;
  /** Something is not as it should be, and the daemon goes on. */
  warn(message: string): void;
  /** Something has changed. */
  info(message: string): void;
  /** What the daemon does, for people who look for a fault. */
  debug(message: string): void;
}

/** Says nothing. */
export const SILENT: Logger = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
};

export interface LogOptions {
  /** Messages below this level are not said. A trace is: it is asked for by kind. */
  readonly level: LogLevel;
  /** Whether a line is a JSON object. */
  readonly isJson: boolean;
}

/** More members of a JSON line. */
export type LogFields = Readonly<Record<string, string | number | undefined>>;

/** Sends one line, without its end, to syslog(3). */
export type Syslog = (line: string, level: LogLevel) => void;

export class LineLogger implements Logger {
  #options: LogOptions;
  #syslog: Syslog | null = null;
  readonly #standardError = new StandardError((count) => this.#lost(count));

  /** @param command the subcommand, which each message names */
  constructor(
    private readonly command: string,
    options: LogOptions,
  ) {
    this.#options = options;
  }

  /** Other options from now on. */
  configure(options: LogOptions): void {
    this.#options = options;
  }

  /** Whether a line is a JSON object. */
  get isJson(): boolean {
    return this.#options.isJson;
  }

  /** Everything goes to syslog from now on. */
  sendTo(syslog: Syslog): void {
    this.#syslog = syslog;
  }

  /** The daemon ends: what still waits is not waited for any longer than a moment, whoever reads. */
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

  /** A line of the trace. @param kind the switch that has asked for it */
  trace(kind: string, text: string, fields: LogFields = {}): void {
    const { isJson } = this.#options;
    const line = isJson
      ? json({ ...base('debug'), kind, msg: text, ...fields })
      : `${kind}: ${visible(text)}`;
    if (this.#syslog !== null) this.#syslog(line, 'debug');
    else this.#standardError.trace(isJson ? `${line}\n` : `eventfs: ${line}\n`);
  }

  /** @param calls the lines of a stack */
  #say(level: LogLevel, message: string, calls: readonly string[] = []): void {
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

  /** What is said where standard error was full. */
  #lost(count: number): string {
    const message = `${count} lines of the trace were not written: the reader of standard error does not keep up`;
    return this.#text([this.#options.isJson ? json({ ...base('warn'), msg: message }) : message]);
  }
}

function base(level: LogLevel): { time: string; level: LogLevel; pid: number } {
  return { time: new Date().toISOString(), level, pid: process.pid };
}

/** One line of JSON. Controls that JSON lets pass as they are would still move a terminal's cursor. */
function json(value: object): string {
  return JSON.stringify(value).replace(
    /[\x7f-\x9f\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** What was thrown, in words: mostly an Error's name and message. */
function textOf(error: unknown): string {
  return String(error);
}

/** The lines of an error's stack that name calls. */
function callsOf(error: unknown): readonly string[] {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  return stack.split('\n').filter((line) => /^ +at /.test(line));
}
