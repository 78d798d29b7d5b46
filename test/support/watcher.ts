/** Programs that watch a directory with inotify: Debian's inotifywait, and test/programs/watcher.c for what that can't show. */
import { childrenOf } from './actor.js';
import { compile, spawnClient } from './clients.js';
import { until, within } from './daemon.js';
import type { ChildProcess } from 'node:child_process';

/** What our own program can do. */
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

/** A daemon's helper, or 0 when it has none now. */
export function helperOf(daemon: number): number {
  return childrenOf(daemon)[0] ?? 0;
}

/** How long a notice may take on a busy machine. */
const PATIENCE_MS = 20_000;

export class Watcher {
  readonly process: ChildProcess;
  #text = '';
  readonly #closed: Promise<void>;

  constructor(command: readonly string[]) {
    this.process = spawnClient(command, ['pipe', 'pipe', 'pipe']);
    for (const stream of [this.process.stdout!, this.process.stderr!]) {
      stream.on('data', (chunk: Buffer) => (this.#text += chunk.toString('latin1')));
    }
    this.process.stdin!.on('error', () => undefined);
    this.#closed = new Promise((done) => this.process.once('close', () => done()));
  }

  /** Our own, once the watch is there. */
  static async on(
    path: string,
    how: How = 'path',
    more: readonly string[] = [],
    under: readonly string[] = [],
  ): Promise<Watcher> {
    const watcher = new Watcher([...under, compile('watcher'), how, path, ...more]);
    await watcher.says(/^ready$/m);
    return watcher;
  }

  /** Debian's inotifywait, once the watch is there. */
  static async inotifywait(path: string, ...events: readonly string[]): Promise<Watcher> {
    const options = events.flatMap((event) => ['-e', event]);
    const watcher = new Watcher(['inotifywait', '-m', '--format', '%e %f', ...options, path]);
    await watcher.says(/^Watches established\.$/m);
    return watcher;
  }

  /** All lines that begin with one of these words. */
  heard(...words: readonly string[]): string[] {
    return this.#text.split('\n').filter((line) => words.includes(line.split(/[ ,]/)[0]));
  }

  /** The names in its IN_CREATEs, in order. */
  get created(): string[] {
    return this.heard('CREATE').map((line) => line.slice('CREATE '.length));
  }

  /** Resolves once it has heard of that many new names, to those. */
  async creates(count: number): Promise<string[]> {
    await until(
      () => this.created.length >= count,
      `${count} creations were not heard of, but ${this.created.length}`,
      PATIENCE_MS,
    );
    return this.created;
  }

  async says(what: RegExp): Promise<RegExpExecArray> {
    const found = await until(
      () => what.exec(this.#text),
      `${what} was not said, but '${this.#text}'`,
      PATIENCE_MS,
    );
    return found!;
  }

  tell(line: string): void {
    this.process.stdin!.write(`${line}\n`);
  }

  /** Ends it, and its child if that is who listens. */
  async end(): Promise<void> {
    this.process.stdin!.end();
    const pid = /^pid (\d+)$/m.exec(this.#text)?.[1];
    if (this.process.spawnfile === 'inotifywait') this.process.kill();
    else if (pid !== undefined && Number(pid) !== this.process.pid)
      process.kill(Number(pid), 'SIGKILL'); // a child that it has left behind
    await within(10_000, this.#closed, 'the watcher did not end');
  }
}
