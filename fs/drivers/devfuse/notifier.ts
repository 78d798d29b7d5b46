/**
 * The helper process that raises inotify events on the mount: started with it, started again when it dies, ended with it.
 * Where there are no descriptors, processes or memory for it, it is tried again later, and its batches wait.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { notifierProgram } from '#native';
import { isSystemError } from '../../shared/errors.js';
import { quoted } from '../../shared/escape.js';
import type { Logger } from '../../shared/logger.js';
import type { Trace } from '../../shared/trace.js';
import type { InotifyQueue } from '../../tree/inotify-queue.js';

/** It is started again so many times within that time. */
const MOST_RESTARTS = 5;
const RESTARTS_WINDOW_MS = 60_000;
/** How soon it is tried again where the machine lacks something for it: at first, and at most, after doubling. */
const FIRST_RETRY_MS = 100;
const MOST_RETRY_MS = 10_000;
/** What the machine may have again later. */
const LACKING = ['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM'];
/** The helper's own word for that: EXIT_TRY_LATER in native/notifier/notifier.h. */
const EXIT_TRY_LATER = 75;

export class Notifier {
  #child: ChildProcess | null = null;
  /** A batch is under way: the next one waits until it is done. */
  #isBusy = false;
  #isScheduled = false;
  #isOver = false;
  /** What it has answered so far. */
  #answer = '';
  readonly #deathsMs: number[] = [];
  #retryMs = FIRST_RETRY_MS;
  #retryTimer: NodeJS.Timeout | null = null;
  /** The daemon has said that the helper is tried again, and not yet that it runs. */
  #isLacking = false;
  readonly #work = (): void => {
    this.#isScheduled = false;
    this.#sendNext();
  };

  /**
   * @param path where the mount is
   * @param minor its device, so that nothing else is touched there
   */
  constructor(
    private readonly inotify: InotifyQueue,
    private readonly logger: Logger,
    private readonly trace: Trace,
    private readonly path: string,
    private readonly minor: number,
  ) {
    // Not at once: whoever has published is answered first, and more events may come along.
    inotify.attach(() => {
      if (this.#isScheduled || this.#isBusy) return;
      this.#isScheduled = true;
      setImmediate(this.#work);
    });
    this.#start();
  }

  /** Ends it. The connection is over by now, so it waits for nothing. */
  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.inotify.giveUp();
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.#child?.kill('SIGKILL');
  }

  #start(): void {
    let child: ChildProcess;
    try {
      child = spawn(notifierProgram, [this.path, String(this.minor)], {
        stdio: ['pipe', 'pipe', 'inherit'],
        cwd: '/',
      });
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#refused(error);
      return;
    }
    this.#answer = '';
    child.once('error', (error) => this.#refused(error));
    if (child.pid === undefined) return; // it could not be started, and the error follows
    this.#child = child;
    this.#isBusy = false;
    this.inotify.helperStarted(child.pid);
    this.trace.inotify?.(`the helper is process ${child.pid}`);
    child.stdin!.on('error', () => undefined); // it has died, and its end says so
    child.stdout!.on('data', (chunk: Buffer) => this.#take(chunk.toString('latin1')));
    child.once('exit', (code, signal) =>
      this.#ended(code, `it ended by ${signal ?? `exit ${code}`}`),
    );
  }

  #refused(error: Error): void {
    if (this.#isOver) return;
    if (isSystemError(error) && LACKING.includes(error.code)) this.#retry(error.message);
    else this.#failed(error.message);
  }

  /** Tries again later. What comes meanwhile stays in the queue, whose memory is bounded. */
  #retry(why: string): void {
    this.#child = null;
    this.#isBusy = true; // nothing is sent until there is a helper
    this.inotify.helperEnded();
    if (!this.#isLacking)
      this.logger.warn(
        `the notifier can't be run yet, and inotify tells of delivered events later: ${why}`,
      );
    this.#isLacking = true;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = null;
      this.#restart();
    }, this.#retryMs);
    this.#retryMs = Math.min(2 * this.#retryMs, MOST_RETRY_MS);
  }

  #restart(): void {
    this.#start();
    this.inotify.again();
    this.#sendNext();
  }

  #failed(why: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.inotify.giveUp();
    this.logger.error(
      `the notifier can't be run, and inotify will not tell of delivered events: ${why}`,
    );
  }

  #ended(code: number | null, why: string): void {
    if (this.#isOver) return;
    if (code === EXIT_TRY_LATER) return this.#retry(why);
    this.#child = null;
    this.inotify.helperEnded();
    const nowMs = performance.now();
    this.#deathsMs.push(nowMs);
    if (
      this.#deathsMs.length > MOST_RESTARTS &&
      nowMs - this.#deathsMs.shift()! < RESTARTS_WINDOW_MS
    )
      return this.#failed(why);
    this.logger.warn(`the notifier is started again: ${why}`);
    this.#restart();
  }

  #sendNext(): void {
    if (this.#isBusy || this.#isOver || this.#child === null) return;
    const batch = this.inotify.nextBatch();
    if (batch === null) return;
    this.#isBusy = true;
    this.trace.inotify?.(`-> ${describeBatch(batch)}`);
    this.#child.stdin!.write(batch);
  }

  /** It has answered: the next lack is a new one. */
  #worked(): void {
    this.#retryMs = FIRST_RETRY_MS;
    if (this.#isLacking) this.logger.info('the notifier runs again');
    this.#isLacking = false;
  }

  /** `Q<inode>` for each directory that nobody watches, then `.`, a line each. */
  #take(text: string): void {
    this.#answer += text;
    if (!this.#answer.endsWith('.\n')) return;
    const lines = this.#answer.split('\n').slice(0, -2);
    this.#answer = '';
    this.#isBusy = false;
    if (this.#isOver) return;
    this.#worked();
    const quiet = lines.map((line) => Number(line.slice(1)));
    this.trace.inotify?.(
      `<- done${quiet.length === 0 ? '' : `, and nobody watches ${quiet.join(' ')}`}`,
    );
    this.inotify.done(quiet);
    this.#sendNext();
  }
}

/**
 * A batch in words: each part as it is sent (native/notifier/main.c), `D` a directory by inode and name, `S` a thread that may watch
 * it, `N` an event, `G` a dead owner's directory, `F` an inode to forget.
 */
function describeBatch(batch: Buffer): string {
  return batch
    .toString('latin1')
    .split('\0')
    .slice(0, -2) // the end of the batch, and nothing behind it
    .map(quoted)
    .join(' ');
}
