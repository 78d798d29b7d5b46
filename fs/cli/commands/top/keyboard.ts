/** The keys of a terminal, one at a time and without their echo. */
import type { ReadStream } from 'node:tty';

const CTRL_C = '\x03';
const CTRL_Z = '\x1a';

/** The receiver of keys. */
interface KeyHandler {
  /** Called when a key, or the sequence of a key, was typed. */
  key(key: string): void;
  /** Called when Ctrl-C was typed: a raw terminal sends no SIGINT. */
  interrupt(): void;
  /** Called when the program is about to stop, or continues after a stop. */
  suspend(): void;
  resume(): void;
}

/** Reads the keys of a terminal in raw mode. */
export class Keyboard {
  readonly #onData: (data: Buffer) => void;
  readonly #onContinue: () => void;
  readonly #onStop = (): void => this.#stop();

  /** @param terminal standard input, which must be a terminal */
  constructor(
    private readonly terminal: ReadStream,
    private readonly handler: KeyHandler,
  ) {
    this.#onData = (data) => {
      for (const key of data.toString('latin1')) this.#take(key);
    };
    this.#onContinue = () => {
      this.terminal.setRawMode(true);
      this.handler.resume();
    };
    terminal.setRawMode(true);
    terminal.on('data', this.#onData);
    terminal.resume();
    process.on('SIGCONT', this.#onContinue);
    process.on('SIGTSTP', this.#onStop);
  }

  #take(key: string): void {
    if (key === CTRL_C) this.handler.interrupt();
    else if (key === CTRL_Z) this.#stop();
    else this.handler.key(key);
  }

  #stop(): void {
    this.handler.suspend();
    this.terminal.setRawMode(false);
    process.kill(process.pid, 'SIGSTOP');
  }

  /** Restores the settings of the terminal. */
  close(): void {
    process.off('SIGCONT', this.#onContinue);
    process.off('SIGTSTP', this.#onStop);
    this.terminal.off('data', this.#onData);
    this.terminal.setRawMode(false);
    this.terminal.pause();
  }
}
