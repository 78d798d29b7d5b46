/**
 * Programs that watch a directory with inotify: Debian's inotifywait, and
 * test/programs/clients/watcher.c for cases that inotifywait can't show.
 */
import { compiled } from './compiled.js';
import { spawnClient } from './clients.js';
import { until, within } from '../mount/daemon.js';
import { childrenOf } from '../processes.js';
import type { ChildProcess } from 'node:child_process';

/** The modes of test/programs/clients/watcher.c. */
export type How =
  | 'path'
  | 'dot'
  | 'fd'
  | 'thread'
  | 'fork'
  | 'twice'
  | 'oneshot'
  | 'child'
  | 'late'
  | 'handed'
  | 'handed-later'
  | 'vfork'
  | 'many'
  | 'dups';

/** Returns the PID of a daemon's helper, or 0 if it has none now. */
export function helperOf(daemon: number): number {
  return childrenOf(daemon)[0] ?? 0;
}

/** The longest wait for a notice on a busy machine. */
const PATIENCE_MS = 20_000;

/** A watching process and its output. */
export class Watcher {
  readonly process: ChildProcess;
  #text = '';
  readonly #closed: Promise<void>;

  /** @param command the watching program and its arguments */
  constructor(command: readonly string[]) {
    this.process = spawnClient(command, ['pipe', 'pipe', 'pipe']);
    for (const stream of [this.process.stdout!, this.process.stderr!]) {
      stream.on('data', (chunk: Buffer) => (this.#text += chunk.toString('latin1')));
    }
    this.process.stdin!.on('error', () => undefined);
    this.#closed = new Promise((done) => this.process.once('close', () => done()));
  }

  /**
   * Starts test/programs/clients/watcher.c, and resolves once it watches.
   * @param more further arguments
   * @param under a command that runs it
   */
  static async on(
    path: string,
    how: How = 'path',
    more: readonly string[] = [],
    under: readonly string[] = [],
  ): Promise<Watcher> {
    const watcher = new Watcher([...under, compiled('watcher'), how, path, ...more]);
    await watcher.says(/^ready$/m);
    return watcher;
  }

  /** Starts Debian's inotifywait, and resolves once it watches. */
  static async inotifywait(path: string, ...events: readonly string[]): Promise<Watcher> {
    const options = events.flatMap((event) => ['-e', event]);
    const watcher = new Watcher(['inotifywait', '-m', '--format', '%e %f', ...options, path]);
    await watcher.says(/^Watches established\.$/m);
    return watcher;
  }

  /** Returns all lines that begin with one of these words. */
  heard(...words: readonly string[]): string[] {
    return this.#text.split('\n').filter((line) => words.includes(line.split(/[ ,]/)[0]));
  }

  /** The names of its IN_CREATE events, in order. */
  get created(): string[] {
    return this.heard('CREATE').map((line) => line.slice('CREATE '.length));
  }

  /**
   * Resolves once the watcher has heard of `count` new names.
   * @returns all names so far
   * @throws Error after 20 s
   */
  async creates(count: number): Promise<string[]> {
    await until(
      () => this.created.length >= count,
      () => `${count} creations were not heard of, but ${this.created.length}`,
      PATIENCE_MS,
    );
    return this.created;
  }

  /**
   * Resolves once the output matches `what`.
   * @throws Error after 20 s
   */
  async says(what: RegExp): Promise<RegExpExecArray> {
    const found = await until(
      () => what.exec(this.#text),
      () => `${what} was not said, but '${this.#text}'`,
      PATIENCE_MS,
    );
    return found!;
  }

  /** Writes a line to its standard input. */
  tell(line: string): void {
    this.process.stdin!.write(`${line}\n`);
  }

  /** Ends the watcher, and its child if the child is the one that watches. */
  async end(): Promise<void> {
    this.process.stdin!.end();
    const pid = /^pid (\d+)$/m.exec(this.#text)?.[1];
    if (this.process.spawnfile === 'inotifywait') this.process.kill();
    else if (pid !== undefined && Number(pid) !== this.process.pid)
      process.kill(Number(pid), 'SIGKILL'); // a child that it has left behind
    await within(10_000, this.#closed, 'the watcher did not end');
  }
}
