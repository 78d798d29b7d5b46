/** `eventfs emit --replay`: publishes the events of a recording, with the pauses between them. */
import { closeSync, openSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { lostOf, tellsOfLoss } from '../../client/events/text.js';
import { type RecordedEvent, RecordingParser } from '../../client/events/recording.js';
import { UsageError, UserError, isSystemError } from '../../shared/errors.js';
import { FILE_HINTS } from '../terminal/explain.js';
import { printError } from '../terminal/output.js';
import { type EmitOptions, PublishText, send } from './emit.js';

/** The options of `eventfs emit --replay`. */
export interface ReplayOptions {
  /** The recording. */
  readonly replay?: string;
  /** How many times as fast; 0 means without pauses. */
  readonly speed?: number;
}

const READ_BYTES = 64 * 1024;
/** The most bytes of events that are written at once. */
const MOST_BATCH_BYTES = 64 * 1024;
/** The longest pause of one timer. */
const LONGEST_SLEEP_MS = 24 * 3600 * 1000;

/**
 * Publishes the events of a recording in their order. They are events of a publisher, with all of
 * their keys, SEQNUM included. Overflow records are reported and not published.
 *
 * A recording that ends in the middle of an event is replayed up to there, with a warning.
 *
 * @param properties must be empty
 * @throws UsageError for wrong options, or a file that is no recording
 * @throws UserError if the recording can't be read or is damaged, if the daemon refuses an event,
 *   or if eventfs is not mounted there
 */
export async function replay(
  properties: readonly string[],
  { replay: path, speed = 1, environment, mount }: EmitOptions & ReplayOptions,
): Promise<void> {
  if (path === undefined) throw new UsageError('--speed: it needs --replay FILE');
  if (properties.length > 0 || environment === true)
    throw new UsageError('--replay: the events come from the file (leave out KEY=VALUE)');
  const player = new Player(mount, path, speed);
  const parser = new RecordingParser(path);
  try {
    for (const bytes of pieces(path)) {
      try {
        for (const recorded of parser.parse(bytes)) await player.play(recorded);
      } finally {
        await player.flush(); // also the events before a damaged line
      }
    }
    parser.end();
  } catch (error) {
    throw player.withProgress(error);
  }
  player.report(parser.unfinished);
}

/** Publishes recorded events when they are due. */
class Player {
  #published = 0;
  /** How many events the recording lacks. */
  #lost = 0;
  /** Texts that are due and not published yet. */
  #batch: string[] = [];
  #batchBytes = 0;
  /** When the last event was due, as of performance.now(). */
  #due = performance.now();
  /** The recorded monotonic time of the last event, in seconds; null before the first. */
  #last: number | null = null;

  constructor(
    private readonly mount: string,
    private readonly path: string,
    private readonly speed: number,
  ) {}

  /** Waits until an event is due, and publishes it, maybe together with those behind it. */
  async play({ event, time: { monotonic } }: RecordedEvent): Promise<void> {
    if (this.speed > 0 && this.#last !== null)
      // Time goes back where a second recording begins.
      this.#due += (Math.max(0, monotonic - this.#last) * 1000) / this.speed;
    this.#last = monotonic;
    if (this.speed > 0 && this.#due > performance.now()) {
      await this.flush();
      await sleepUntil(this.#due);
    }
    if (tellsOfLoss(event)) {
      this.#lost += lostOf(event);
      return;
    }
    if (this.#batchBytes + event.text.length > MOST_BATCH_BYTES) await this.flush();
    this.#batch.push(event.text);
    this.#batchBytes += event.text.length;
  }

  /** Publishes the events that are due. */
  async flush(): Promise<void> {
    if (this.#batch.length === 0) return;
    const text = new PublishText(Buffer.from(`${this.#batch.join('\n\n')}\n`, 'latin1'));
    this.#batch = [];
    this.#batchBytes = 0;
    await send(this.mount, text, this.#published === 0);
    this.#published += text.count;
  }

  /** Has an error say, too, how many events of the recording were published before. */
  withProgress(error: unknown): unknown {
    if (error instanceof UserError && this.#published > 0)
      error.message += `; ${this.#published} events of ${this.path} were published before`;
    return error;
  }

  /**
   * Warns of events that the recording lacks.
   *
   * @param unfinished the line of an event that the recording has only the beginning of; or 0
   */
  report(unfinished: number): void {
    const events = this.#published === 1 ? '1 event was' : `${this.#published} events were`;
    const say = (what: string): void =>
      printError(`emit: ${this.path}: ${what} (${events} published)`);
    if (unfinished > 0) say(`line ${unfinished}: the recording ends in the middle of an event`);
    if (this.#lost > 0) say(`the recording lacks ${this.#lost} events, which watch had lost`);
  }
}

async function sleepUntil(due: number): Promise<void> {
  for (let left = due - performance.now(); left > 0; left = due - performance.now())
    await sleep(Math.min(left, LONGEST_SLEEP_MS));
}

/** Reads a file piece by piece. @throws UserError with the errno of open(2) or read(2) */
function* pieces(path: string): Generator<Buffer> {
  let fd: number | null = null;
  try {
    fd = openSync(path, 'r');
    const buffer = Buffer.alloc(READ_BYTES);
    for (let length = -1; length !== 0;) {
      length = readSync(fd, buffer);
      yield buffer.subarray(0, length);
    }
  } catch (error) {
    if (isSystemError(error)) throw UserError.from(error, path, FILE_HINTS);
    throw error;
  } finally {
    if (fd !== null) closeSync(fd);
  }
}
