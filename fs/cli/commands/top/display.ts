/** A terminal that is redrawn in place, by ANSI's sequences (ECMA-48). */
import { print } from '../../terminal/output.js';
import { Keyboard } from './keyboard.js';

const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';
const CLEAR = '\x1b[2J';
const HOME = '\x1b[H';
/** Erases a line before its text: behind a full line the cursor is on its last character. */
const ERASE_LINE = '\x1b[2K';
const ERASE_BELOW = '\x1b[J';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** The receiver of what the user does. */
interface DisplayHandler {
  key(key: string): void;
  /** Called when the user or a signal ends the program, or the terminal is gone. */
  end(): void;
}

/** The terminal of a program that shows one screen after the other. */
export class Display {
  #keyboard: Keyboard | null = null;
  #isOpen = false;
  readonly #onResize = (): void => {
    print(CLEAR);
    this.redraw();
  };
  readonly #onSignal = (): void => this.handler.end();

  /** @param redraw shows the present screen again, after a change of size or a stop */
  constructor(
    private readonly redraw: () => void,
    private readonly handler: DisplayHandler,
  ) {}

  /** Takes the terminal: hides the cursor, and reads keys if standard input is a terminal. */
  open(): void {
    this.#isOpen = true;
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    process.stdout.on('resize', this.#onResize);
    print(HIDE_CURSOR + CLEAR);
    if (!process.stdin.isTTY) return;
    this.#keyboard = new Keyboard(process.stdin, {
      key: (key) => this.handler.key(key),
      interrupt: () => this.handler.end(),
      suspend: () => print(`${SHOW_CURSOR}\r\n`),
      resume: () => {
        print(HIDE_CURSOR);
        this.#onResize();
      },
    });
    // The terminal is gone: a read returns the end of the file, or EIO.
    process.stdin.once('end', this.#onSignal);
    process.stdin.once('error', this.#onSignal);
  }

  /** Shows a screen in the place of the last one. */
  show(lines: readonly string[]): void {
    if (!this.#isOpen) return;
    const text = lines.map((line) => ERASE_LINE + line).join('\r\n');
    if (!print(HOME + text + ERASE_BELOW)) this.handler.end();
  }

  /** Restores the terminal: the last screen stays, and the prompt is below it. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#keyboard?.close();
    process.stdin.off('end', this.#onSignal);
    process.stdin.off('error', this.#onSignal);
    process.stdout.off('resize', this.#onResize);
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
    print(`${SHOW_CURSOR}\r\n`);
  }
}
