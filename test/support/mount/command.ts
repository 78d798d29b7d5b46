/** Runs `eventfs` as a user's script does. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { statusOf } from '../clients/clients.js';
import { EVENTFS_NODE, EVENTFS_SCRIPT, run, until, within } from './daemon.js';

type Outcome = Awaited<ReturnType<typeof run>>;

/** Runs `eventfs` to its end, for up to 30 s by default. */
export function eventfs(
  args: readonly string[],
  options: Parameters<typeof run>[1] = {},
): Promise<Outcome> {
  return run([...EVENTFS_NODE, ...args], { timeoutMs: 30_000, ...options });
}

/** An `eventfs` that runs until a signal ends it. */
export class Background {
  static readonly #all = new Set<Background>();
  readonly process: ChildProcess;
  out = '';
  err = '';
  readonly ended: Promise<number | NodeJS.Signals | null>;

  /** @param args the arguments of `eventfs` */
  constructor(args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.process = spawn(process.execPath, [EVENTFS_SCRIPT, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env,
    });
    Background.#all.add(this);
    this.process.stdout!.on('data', (chunk: Buffer) => (this.out += chunk.toString('latin1')));
    this.process.stderr!.on('data', (chunk: Buffer) => (this.err += chunk.toString('latin1')));
    this.ended = new Promise((done) =>
      this.process.on('close', (code, signal) => done(code ?? signal)),
    );
    void this.ended.then(() => Background.#all.delete(this));
  }

  /**
   * Ends the commands that failed tests have left. `eventfs run` ends its own commands at the
   * second SIGTERM.
   */
  static async killAll(): Promise<void> {
    const left = [...Background.#all];
    const gone = left.map(({ process }) => new Promise((done) => process.once('exit', done)));
    for (const signal of ['SIGTERM', 'SIGTERM', 'SIGKILL'] as const) {
      for (const { process } of left) process.kill(signal);
      await Promise.race([Promise.all(gone), sleep(500)]);
    }
  }

  get pid(): number {
    return this.process.pid!;
  }

  /** Resolves once this process, an `eventfs run`, waits for events of a mount. */
  async runsOn(mount: string): Promise<void> {
    const queue = `${mount}/${this.pid}.run`;
    await until(
      () => existsSync(`${queue}.taken`) && statusOf(queue).STREAMS === '1',
      () => `it does not run: ${this.err}`,
    );
  }

  /** Resolves once stdout matches `pattern`; fails after 20 s. */
  async prints(pattern: RegExp): Promise<void> {
    await until(
      () => pattern.test(this.out),
      () => `${String(pattern)} was not printed, but ${this.out}${this.err}`,
      20_000,
    );
  }

  /**
   * Sends a signal, and waits up to 20 s for the end.
   * @returns the exit code, or the signal that ended it
   */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals | null> {
    this.process.kill(signal);
    return within(20_000, this.ended, `it did not end by ${signal}`);
  }
}
