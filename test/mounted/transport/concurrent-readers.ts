/** Runs test/programs/measure/concurrent-readers.c: many readers of one file on one CPU. */
import { spawn } from 'node:child_process';
import { type Interface, createInterface } from 'node:readline';
import { compiled } from '../../support/clients/compiled.js';
import { within } from '../../support/mount/daemon.js';

const ANSWER_MS = 60_000;
const END_MS = 10_000;

export class ConcurrentReaders {
  readonly #process;
  readonly #lines: AsyncIterator<string, undefined>;

  /** @param under a command that runs the program, as `AS_NOBODY` does */
  constructor(cpu: number, file: string, under: readonly string[] = []) {
    const [command, ...args] = [...under, compiled('concurrent-readers'), String(cpu), file];
    this.#process = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines: Interface = createInterface({ input: this.#process.stdout });
    this.#lines = lines[Symbol.asyncIterator]();
  }

  /** Sends a command. @returns the program's answer, or `ended` */
  async ask(command: string): Promise<string> {
    this.#process.stdin.write(`${command}\n`);
    const line = await within(ANSWER_MS, this.#lines.next(), `concurrent-readers: ${command}`);
    return line.done === true ? 'ended' : line.value;
  }

  /** Closes the program's input, and waits for its end. */
  async end(): Promise<void> {
    const ended = new Promise((done) => this.#process.once('exit', done));
    this.#process.stdin.end();
    await within(END_MS, ended, 'the readers did not end');
  }
}
