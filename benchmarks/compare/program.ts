/** Runs the C programs of benchmarks/programs, which answer each command line with a line. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { UserError } from '../../fs/shared/errors.js';
import { PROJECT, within } from '../../test/support/mount/daemon.js';

/** The folder in which benchmarks/programs/Makefile builds them. */
export const PROGRAMS = join(PROJECT, 'benchmarks/build');

const READY_TIMEOUT_MS = 60_000;
const END_TIMEOUT_MS = 30_000;

export type Answer = ReadonlyMap<string, number>;

export class Program {
  readonly #waiting: { done: (line: string) => void; failed: (error: Error) => void }[] = [];
  readonly #ended: Promise<void>;
  #over: string | null = null;

  private constructor(
    private readonly name: string,
    readonly process: ChildProcess,
  ) {
    createInterface({ input: process.stdout! }).on('line', (line) =>
      this.#waiting.shift()?.done(line),
    );
    process.stdin!.on('error', () => undefined); // The read below reports it.
    this.#ended = new Promise((done) =>
      process.on('close', (code, signal) =>
        done(this.#end(`${this.name} ended with ${code ?? signal}`)),
      ),
    );
    process.on('error', (error) => this.#end(`${this.name}: ${error.message}`));
  }

  /** Starts a program, and resolves once it prints `ready`. */
  static async start(
    name: string,
    args: readonly (string | number)[],
    under: readonly string[] = [],
  ): Promise<Program> {
    const [command, ...rest] = [...under, join(PROGRAMS, name), ...args.map(String)];
    const program = new Program(name, spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'] }));
    try {
      await within(READY_TIMEOUT_MS, program.#answer(), `${name} was not ready`);
    } catch (error) {
      await program.end();
      throw error;
    }
    return program;
  }

  get pid(): number {
    return this.process.pid!;
  }

  async ask(line: string, timeoutMs: number): Promise<string> {
    const answer = this.#answer();
    this.process.stdin!.write(`${line}\n`);
    return within(timeoutMs, answer, `${this.name} did not answer '${line}'`);
  }

  /** Sends a command. @returns the `KEY=VALUE` pairs of the answer */
  async askNumbers(line: string, timeoutMs: number): Promise<Answer> {
    const pairs = (await this.ask(line, timeoutMs)).split(' ').map((pair) => pair.split('='));
    return new Map(pairs.map(([key, value]) => [key, Number(value)]));
  }

  /** Kills the program, and by PR_SET_PDEATHSIG its children, and resolves when it is gone. */
  async end(): Promise<void> {
    this.process.kill('SIGKILL');
    await within(END_TIMEOUT_MS, this.#ended, `${this.name} did not end`);
  }

  #answer(): Promise<string> {
    if (this.#over !== null) return Promise.reject(new UserError(this.#over));
    return new Promise((done, failed) => this.#waiting.push({ done, failed }));
  }

  #end(why: string): void {
    this.#over = why;
    for (const { failed } of this.#waiting.splice(0)) failed(new UserError(why));
  }
}
