/**
 * The file format of recordings: `watch --record` writes them, `emit --replay` reads them.
 * docs/reference/cli.md describes it for users.
 *
 *   recording = header { stamp record | comment | header }
 *   header    = "# eventfs recording " VERSION LF
 *   comment   = "#" any text LF, or an empty line
 *   stamp     = "@ " TIME " " MONOTONIC " " SOURCE { " " word } LF
 *   record    = the event's text as in a stream, and the empty line that ends it
 *
 * Two recordings one behind the other are a recording. A recording that ends in the middle of a
 * record or stamp is a recording that was cut: all events before are whole.
 */
import { UsageError, UserError } from '../../shared/errors.js';
import type { EventTime } from './clock.js';
import { type EventText, parseEvent } from './text.js';

const VERSION = 1;
const HEADER = '# eventfs recording ';
/** More than the longest record: no line and no record is longer. */
const MOST_RECORD_BYTES = 256 * 1024;

const STAMP = /^@ (\d+(?:\.\d+)?) (-?\d+(?:\.\d+)?) (\S+)(?: .*)?$/;

/** The first line of a recording. */
export const RECORDING_HEADER = `${HEADER}${VERSION}\n`;

/** An event of a recording. */
export interface RecordedEvent {
  readonly event: EventText;
  readonly time: EventTime;
  readonly source: string;
  /** The number of its stamp's line, from 1. */
  readonly line: number;
}

/**
 * Formats an event for a recording.
 *
 * @returns one character for each byte
 */
export function recordText(event: EventText, at: EventTime, source: string): string {
  const stamp = `@ ${at.time.toFixed(3)} ${at.monotonic.toFixed(6)} ${source}`;
  return `${stamp}\n${event.text.replace(/\n*$/, '')}\n\n`;
}

/** Parses a recording piece by piece. */
export class RecordingParser {
  #rest = '';
  /** The number of the line at which `#rest` begins, from 1. */
  #line = 1;
  #hasHeader = false;

  /** @param name the file's name, for messages */
  constructor(private readonly name: string) {}

  /** The line at which an unfinished record or stamp begins; 0 if there is none. */
  get unfinished(): number {
    return this.#rest === '' ? 0 : this.#line;
  }

  /**
   * Parses the next bytes.
   *
   * @returns the events that they complete
   * @throws UsageError if the file is no recording, or one of a later version
   * @throws UserError if a line is damaged, after the events before it
   */
  *parse(bytes: Buffer): Generator<RecordedEvent> {
    this.#rest += bytes.toString('latin1');
    for (;;) {
      const end = this.#rest.indexOf('\n');
      if (end < 0) return this.#checkLength();
      const line = this.#rest.slice(0, end);
      if (!line.startsWith('@')) {
        this.#note(line);
        this.#skip(end + 1, 1);
        continue;
      }
      if (!this.#hasHeader) throw this.#noRecording();
      const last = this.#rest.indexOf('\n\n', end);
      if (last < 0) return this.#checkLength();
      yield this.#eventAt(line, end + 1, last);
    }
  }

  /** Checks the beginning of a file that has ended. @throws UsageError if it is no recording */
  end(): void {
    if (!this.#hasHeader) throw this.#noRecording();
  }

  #eventAt(stamp: string, start: number, last: number): RecordedEvent {
    const line = this.#line;
    const found = STAMP.exec(stamp);
    const text = this.#rest.slice(start, last);
    const event = parseEvent(text);
    if (found === null) throw this.#damaged(line, 'expected @ TIME MONOTONIC SOURCE');
    if (event.devpath === '') throw this.#damaged(line + 1, 'expected ACTION@DEVPATH');
    if (text.includes('\0')) throw this.#damaged(line + 1, 'the event contains a NUL byte');
    this.#skip(last + 2, text.split('\n').length + 2);
    const time = { time: Number(found[1]), monotonic: Number(found[2]) };
    return { event, time, source: found[3], line };
  }

  /** Handles a line between two records. */
  #note(line: string): void {
    if (line.startsWith(HEADER)) {
      const version = line.slice(HEADER.length).trim();
      if (version !== String(VERSION))
        throw new UsageError(
          `${this.name}: line ${this.#line}: the recording has version ${version}, and this eventfs reads version ${VERSION} (use a newer eventfs)`,
        );
      this.#hasHeader = true;
    } else if (!this.#hasHeader) throw this.#noRecording();
    else if (line !== '' && !line.startsWith('#'))
      throw this.#damaged(this.#line, 'expected @ TIME MONOTONIC SOURCE');
  }

  #skip(length: number, lines: number): void {
    this.#rest = this.#rest.slice(length);
    this.#line += lines;
  }

  #checkLength(): void {
    if (this.#rest.length <= MOST_RECORD_BYTES) return;
    throw this.#hasHeader
      ? this.#damaged(this.#line, 'the record has no end')
      : this.#noRecording();
  }

  #noRecording(): UsageError {
    return new UsageError(
      `${this.name}: the file is no recording: it does not begin with ${HEADER.trim()} (make one by eventfs watch --record)`,
    );
  }

  #damaged(line: number, what: string): UserError {
    return new UserError(
      `${this.name}: line ${line}: ${what} (remove the damaged lines up to the next one that begins with @)`,
    );
  }
}
