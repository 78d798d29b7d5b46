/** A command that `eventfs run` has started for one event. */
import { type ChildProcess, spawn } from 'node:child_process';

/** The time between SIGTERM and SIGKILL. */
const GRACE_MS = 2000;

/** How to run a command. */
export interface CommandOptions {
  /** The program and its arguments. */
  readonly command: readonly string[];
  /** A descriptor: the command's standard input. */
  readonly stdin: number;
  readonly environment: NodeJS.ProcessEnv;
  /** In seconds. After it the command gets SIGTERM, and SIGKILL 2 s later. */
  readonly timeout?: number | undefined;
  /** Is called when the command has run for `timeout`. */
  readonly onTimeout: () => void;
  /**
   * Is called once when the command has ended.
   *
   * @param failure the reason of a failure; null after exit code 0
   */
  readonly onEnd: (failure: string | null) => void;
}

/** A running command. It has a process group of its own, so that a time-out ends all of it. */
export class CommandProcess {
  readonly #child: ChildProcess;
  readonly #timers: NodeJS.Timeout[] = [];
  #hasEnded = false;

  constructor(private readonly options: CommandOptions) {
    const { command, stdin, environment, timeout } = options;
    this.#child = spawn(command[0], command.slice(1), {
      stdio: [stdin, 'inherit', 'inherit'],
      env: environment,
      detached: true,
    });
    if (timeout !== undefined) this.#limit(timeout * 1000);
    this.#child.once('error', (error) => this.#end(error.message));
    this.#child.once('exit', (code, signal) => {
      this.#end(code === 0 ? null : signal === null ? `exit code ${code}` : `ended by ${signal}`);
    });
  }

  /** Sends a signal to the command's process group. */
  kill(signal: NodeJS.Signals): void {
    if (this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, signal);
    } catch {
      // ESRCH: all processes of the group have ended
    }
  }

  #limit(ms: number): void {
    const terminate = (): void => {
      this.options.onTimeout();
      this.kill('SIGTERM');
    };
    this.#timers.push(
      setTimeout(terminate, ms),
      setTimeout(() => this.kill('SIGKILL'), ms + GRACE_MS),
    );
  }

  #end(failure: string | null): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.options.onEnd(failure);
  }
}
