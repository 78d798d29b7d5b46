/** The helper process that raises inotify events on the mount: started with it, started again when it dies, ended with it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { notifierProgram } from '#native';
import type { Complain } from '../fuse/session.js';
import type { Notices } from '../tree/notices.js';

/** It is started again so many times within that time. */
const MOST_RESTARTS = 5;
const RESTARTS_WINDOW_MS = 60_000;

export class Notifier {
  #child: ChildProcess | null = null;
  /** A batch is under way: the next one waits until it is done. */
  #isBusy = false;
  #isScheduled = false;
  #isOver = false;
  /** What it has answered so far. */
  #answer = '';
  readonly #deathsMs: number[] = [];
  readonly #work = (): void => {
    this.#isScheduled = false;
    this.#sendNext();
  };

  /**
   * @param path where the mount is
   * @param minor its device, so that nothing else is touched there
   */
  constructor(
    private readonly notices: Notices,
    private readonly complain: Complain,
    private readonly path: string,
    private readonly minor: number,
  ) {
    // Not at once: whoever has published is answered first, and more events may come along.
    notices.onDue = () => {
      if (this.#isScheduled || this.#isBusy) return;
      this.#isScheduled = true;
      setImmediate(this.#work);
    };
    this.#start();
  }

  /** Ends it. The connection is over by now, so it waits for nothing. */
  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.notices.giveUp();
    this.#child?.kill('SIGKILL');
  }

  #start(): void {
    const child = spawn(notifierProgram, [this.path, String(this.minor)], { stdio: ['pipe', 'pipe', 'inherit'], cwd: '/' });
    this.#child = child;
    this.#isBusy = false;
    this.#answer = '';
    this.notices.helper = child.pid ?? -1;
    child.stdin?.on('error', () => undefined); // it has died, and its end says so
    child.stdout?.on('data', (chunk: Buffer) => this.#take(chunk.toString('latin1')));
    child.once('error', (error) => this.#failed(error.message));
    child.once('exit', (code, signal) => this.#ended(`it ended by ${signal ?? `exit ${code}`}`));
  }

  #failed(why: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.notices.giveUp();
    this.complain(`the notifier can't be run, and inotify will not tell of delivered events: ${why}`);
  }

  #ended(why: string): void {
    if (this.#isOver) return;
    this.notices.helper = -1;
    const nowMs = performance.now();
    this.#deathsMs.push(nowMs);
    if (this.#deathsMs.length > MOST_RESTARTS && nowMs - this.#deathsMs.shift()! < RESTARTS_WINDOW_MS) return this.#failed(why);
    this.complain(`the notifier is started again: ${why}`);
    this.#start();
    this.notices.again();
    this.#sendNext();
  }

  #sendNext(): void {
    if (this.#isBusy || this.#isOver) return;
    const batch = this.notices.nextBatch();
    if (batch === null) return;
    this.#isBusy = true;
    this.#child!.stdin!.write(batch);
  }

  /** `Q<inode>` for each directory that nobody watches, then `.`, a line each. */
  #take(text: string): void {
    this.#answer += text;
    if (!this.#answer.endsWith('.\n')) return;
    const lines = this.#answer.split('\n').slice(0, -2);
    this.#answer = '';
    this.#isBusy = false;
    if (this.#isOver) return;
    this.notices.done(lines.map((line) => Number(line.slice(1))));
    this.#sendNext();
  }
}
