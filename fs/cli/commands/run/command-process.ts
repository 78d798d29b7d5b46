/** A command that `eventfs run` has started for one event. */
import { isSystemError } from '../../../shared/errors.js';
import { startProcess } from '../../../shared/start-process.js';
import { startFailure } from '../../terminal/explain.js';

/** The time between SIGTERM and SIGKILL. */
const GRACE_MS = 2000;

/** How to run a command. */
interface CommandOptions {
  /** The program and its arguments. */
  readonly command: readonly string[];
  /** A descriptor: the command's standard input. */
  readonly stdin: number;
  readonly environment: NodeJS.ProcessEnv;
  /** In seconds. After it the command gets SIGTERM, and SIGKILL 2 s later. */
  readonly timeout?: number | undefined;
  /** Called when the command has run for `timeout`. */
  readonly onTimeout: () => void;
  /**
   * Called once when the command has ended.
   *
   * @param failure the reason of a failure; null after exit code 0
   */
  readonly onEnd: (failure: string | null) => void;
}

/** A running command. It has a process group of its own, so that a time-out ends all of it. */
export class CommandProcess {
  /** The process group; null if the command could not be started. */
  readonly #group: number | null;
  #terminating: NodeJS.Timeout | undefined;
  #killing: NodeJS.Timeout | undefined;
  #hasEnded = false;

  constructor(private readonly options: CommandOptions) {
    const { command, stdin, environment, timeout } = options;
    const child = startProcess(
      command[0],
      command.slice(1),
      { stdio: [stdin, 'inherit', 'inherit'], env: environment, detached: true },
      (error) => this.#end(isSystemError(error) ? startFailure(error) : error.message),
    );
    this.#group = child?.pid ?? null;
    child?.once('exit', (code, signal) => {
      this.#end(code === 0 ? null : signal === null ? `exit code ${code}` : `ended by ${signal}`);
    });
    if (child === null || timeout === undefined) return;
    this.#terminating = setTimeout(() => {
      options.onTimeout();
      this.terminate();
    }, timeout * 1000);
  }

  /** Sends SIGTERM to the command's process group, and SIGKILL {@link GRACE_MS} later. */
  terminate(): void {
    clearTimeout(this.#terminating);
    this.#kill('SIGTERM');
    this.#killing ??= setTimeout(() => this.#kill('SIGKILL'), GRACE_MS);
  }

  /** @returns false if all processes of the group have ended */
  #kill(signal: NodeJS.Signals | 0): boolean {
    if (this.#group === null) return false;
    try {
      return process.kill(-this.#group, signal);
    } catch (error) {
      return !isSystemError(error, 'ESRCH');
    }
  }

  #end(failure: string | null): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearTimeout(this.#terminating);
    // A child of the command may ignore SIGTERM. No later process gets the number of a group that
    // still has one.
    if (!this.#kill(0)) clearTimeout(this.#killing);
    this.options.onEnd(failure);
  }
}
