/**
 * Runs the notifier, the helper process that raises inotify events on the mount. The driver starts
 * it after the mount, restarts it if it dies, and kills it after the unmount. If the machine is
 * short of descriptors, processes or memory, the driver tries again later, and the batches wait.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { notifierProgram } from '#native';
import { descriptorRefusals } from '../../owners/process.js';
import { isSystemError } from '../../shared/errors.js';
import { quoted } from '../../shared/escape.js';
import type { Logger } from '../../shared/log/logger.js';
import type { Trace } from '../../shared/log/trace.js';
import type { InotifyQueue } from '../../tree/inotify/inotify-queue.js';
import { waitForEnd } from './former-notifier.js';
import { LOOK_AFTER_MS, StuckCheck, leaveBehind } from './stuck-notifier.js';

/** The notifier is restarted at most this often within RESTARTS_WINDOW_MS. */
const MOST_RESTARTS = 5;
const RESTARTS_WINDOW_MS = 60_000;
/**
 * The first and the longest delay before the next try, if the machine is short of something. It
 * doubles.
 */
const FIRST_RETRY_MS = 100;
const MOST_RETRY_MS = 10_000;
/** Errors that say that the machine is short of something, which it may have later. */
const LACKING = ['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM'];
/** The notifier's exit code for the same: EXIT_TRY_LATER in native/notifier/notifier.h. */
const EXIT_TRY_LATER = 75;
/** How long `pause` waits for the notifier's end, in milliseconds. */
const MOST_ENDING_MS = 500;

/** Keeps one notifier running, and sends it the batches of the inotify queue. */
export class Notifier {
  #child: ChildProcess | null = null;
  /** Whether a batch is under way. The next one waits until the notifier has answered. */
  #isBusy = false;
  #isScheduled = false;
  #isOver = false;
  #isPaused = false;
  /** The part of the answer that has been read. */
  #answer = '';
  /** When the last notifiers died (performance.now()). */
  readonly #deathsMs: number[] = [];
  #retryMs = FIRST_RETRY_MS;
  #retryTimer: NodeJS.Timeout | null = null;
  /** Looks whether the notifier is stuck, for as long as it works on a batch. */
  #lookTimer: NodeJS.Timeout | null = null;
  readonly #stuck = new StuckCheck();
  /** Whether the last line of the log about it says that the notifier can't run yet. */
  #isLacking = false;
  readonly #work = (): void => {
    this.#isScheduled = false;
    this.#sendNext();
  };

  /**
   * Starts the notifier.
   * @param path the mount point
   * @param minor the minor number of the mount's device; the notifier touches no other mount there
   */
  constructor(
    private readonly inotify: InotifyQueue,
    private readonly logger: Logger,
    private readonly trace: Trace,
    private readonly path: string,
    private readonly minor: number,
  ) {
    // The next turn sends the batch: the publisher gets its reply first, and more events may come.
    inotify.attach(() => {
      if (this.#isScheduled || this.#isBusy) return;
      this.#isScheduled = true;
      setImmediate(this.#work);
    });
    this.#start();
  }

  /**
   * Kills the notifier. It can't hang in a request, because the connection is over by now. But it
   * may wait for a lock of the kernel, so the daemon waits for its end only for a moment.
   */
  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.inotify.giveUp();
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.#stopLooking();
    const child = this.#child;
    if (child === null) return;
    child.kill('SIGKILL');
    const timer = setTimeout(() => leaveBehind(child), MOST_ENDING_MS);
    child.once('exit', () => clearTimeout(timer));
  }

  /**
   * Kills the notifier, and waits for its end: the daemon that serves next would take its requests
   * for those of another process, and make files for it.
   */
  pause(): void {
    const child = this.#child;
    if (this.#isOver || child === null) return;
    this.#isPaused = true;
    this.#child = null;
    this.#isBusy = true; // no batch is sent until a notifier runs
    this.inotify.notifierEnded();
    this.#stopLooking();
    leaveBehind(child);
    waitForEnd(child.pid!, MOST_ENDING_MS);
  }

  /** Starts a notifier again after `pause`. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#restart();
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
    if (child.pid === undefined) return; // spawn has failed, and emits `error` next
    this.#child = child;
    this.#isBusy = false;
    this.inotify.notifierStarted(child.pid);
    this.trace.inotify?.(`the notifier is process ${child.pid}`);
    child.stdin!.on('error', () => undefined); // the notifier has died: `exit` reports it
    child.stdout!.on('data', (chunk: Buffer) => {
      if (child === this.#child) this.#take(chunk.toString('latin1'));
    });
    child.once('exit', (code, signal) => {
      if (child !== this.#child) return; // `pause` has killed it
      this.#ended(code, signal === null ? `it exited with ${code}` : `${signal} ended it`);
    });
  }

  /** Handles an error of spawn: tries again later, or gives up. */
  #refused(error: Error): void {
    if (this.#isOver) return;
    if (isSystemError(error, 'EMFILE')) descriptorRefusals.count++;
    if (isSystemError(error) && LACKING.includes(error.code)) this.#retry(error.message);
    else this.#failed(error.message);
  }

  /**
   * Tries again later. Until then the notices stay in the inotify queue, whose memory is bounded.
   */
  #retry(why: string): void {
    this.#child = null;
    this.#isBusy = true; // no batch is sent until a notifier runs
    this.inotify.notifierEnded();
    if (!this.#isLacking)
      this.logger.warn(`the notifier can't run yet, so inotify events come late: ${why}`);
    this.#isLacking = true;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = null;
      this.#restart();
    }, this.#retryMs);
    this.#retryMs = Math.min(2 * this.#retryMs, MOST_RETRY_MS);
  }

  #restart(): void {
    this.#start();
    this.inotify.requeue();
    this.#sendNext();
  }

  /** Gives up for the rest of the mount's life. */
  #failed(why: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.inotify.giveUp();
    this.logger.error(
      `the notifier can't run, so there are no inotify events until the next mount: ${why}`,
    );
  }

  /**
   * Handles the end of the notifier: restarts it, tries again later, or gives up.
   * @param code the exit code; null after a signal
   */
  #ended(code: number | null, why: string): void {
    if (this.#isOver) return;
    if (code === EXIT_TRY_LATER) return this.#retry(why);
    this.#child = null;
    this.inotify.notifierEnded();
    const nowMs = performance.now();
    this.#deathsMs.push(nowMs);
    if (
      this.#deathsMs.length > MOST_RESTARTS &&
      nowMs - this.#deathsMs.shift()! < RESTARTS_WINDOW_MS
    )
      return this.#failed(why);
    this.logger.warn(`the daemon restarts the notifier: ${why}`);
    this.#restart();
  }

  #sendNext(): void {
    if (this.#isBusy || this.#isOver || this.#child === null) return;
    const batch = this.inotify.nextBatch();
    if (batch === null) return;
    this.#isBusy = true;
    this.trace.inotify?.(`-> ${describeBatch(batch)}`);
    this.#child.stdin!.write(batch);
    this.#stuck.begin();
    this.#lookTimer ??= setInterval(() => this.#look(), LOOK_AFTER_MS).unref();
    this.#lookTimer.refresh();
  }

  #stopLooking(): void {
    if (this.#lookTimer !== null) clearInterval(this.#lookTimer);
    this.#lookTimer = null;
  }

  /** If the notifier is stuck in a directory, starts another one, which leaves that one out. */
  #look(): void {
    const child = this.#child;
    if (child === null || !this.#isBusy) return this.#stopLooking();
    const { heldBack } = this.inotify;
    if (!this.#stuck.isStuck(child.pid!, heldBack.isCalm)) return;
    const directory = heldBack.inWork;
    if (directory === null || !heldBack.add(directory)) return;
    const { ino, uid } = directory;
    const why = `a process holds the lock of a directory of user ${uid}`;
    this.logger.warn(`${why}, so inotify events of that directory come late`);
    const free = (): void => {
      heldBack.end(ino);
      this.#work();
    };
    child.once('exit', () => setTimeout(free, heldBack.loosen(ino)).unref());
    this.#child = null;
    this.inotify.notifierEnded();
    leaveBehind(child);
    this.#restart();
  }

  /** Notes that the notifier has answered a batch: a later failure is logged anew. */
  #worked(): void {
    this.#retryMs = FIRST_RETRY_MS;
    if (this.#isLacking) this.logger.info('the notifier runs again');
    this.#isLacking = false;
  }

  /**
   * Reads a part of the answer to a batch: a line `Q<inode>` for each directory that no process
   * watches, then a line `.`.
   */
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
      `<- done${quiet.length === 0 ? '' : `, no watcher of inode ${quiet.join(' ')}`}`,
    );
    this.inotify.batchDone(quiet);
    this.#sendNext();
  }
}

/**
 * Returns a batch as text for the trace. Each part is as it is sent (native/notifier/main.c): `D` a
 * directory by inode and name, `S` a thread that may watch it, `N` an event, `G` a dead owner's
 * directory, `F` an inode to forget.
 */
function describeBatch(batch: Buffer): string {
  return batch
    .toString('latin1')
    .split('\0')
    .slice(0, -2) // without the `.` and the empty string behind the last NUL
    .map(quoted)
    .join(' ');
}
