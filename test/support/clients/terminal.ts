/**
 * Runs a program on a real pseudoterminal, and shows what a user sees there: the characters are
 * drawn as a terminal draws them. Python's pty module opens it, as Node has no call for that.
 */
import type { ChildProcess } from 'node:child_process';
import { spawnClient } from './clients.js';
import { until } from '../mount/daemon.js';

/** Relays bytes. 0xFF changes the size: the next two bytes are the columns and the rows. */
const PTY = `
import fcntl, os, pty, select, struct, sys, termios
def resize(columns, rows): fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
ready, go = os.pipe()
pid, fd = pty.fork()
if pid == 0:
    os.close(go)
    os.read(ready, 1)
    os.execvp(sys.argv[3], sys.argv[3:])
os.close(ready)
resize(int(sys.argv[1]), int(sys.argv[2]))
os.close(go)
inputs = [0, fd]
while True:
    for ready in select.select(inputs, [], [])[0]:
        try: data = os.read(ready, 65536)
        except OSError: data = b''
        if not data and ready == fd:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            sys.exit(status if status >= 0 else 128 - status)
        if not data: inputs.remove(0)
        elif ready == fd: os.write(1, data)
        elif data[0] == 0xff: resize(data[1], data[2])
        else: os.write(fd, data)
`;

/** The size of a terminal, in characters, and the environment of its program. */
export interface TerminalSetting {
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: Readonly<Record<string, string>>;
}

const ENVIRONMENT = { TERM: 'xterm', LC_ALL: 'C.UTF-8' };

/** A program on a terminal. */
export class Terminal {
  readonly process: ChildProcess;
  /** Everything that the program has written. */
  raw = '';
  /** Resolves to the exit code, or to 128 and the number of the signal. */
  readonly ended: Promise<number | null>;
  #columns: number;
  #rows: number;

  constructor(
    command: readonly string[],
    { columns = 80, rows = 24, env = {} }: TerminalSetting = {},
  ) {
    [this.#columns, this.#rows] = [columns, rows];
    const set = Object.entries({ ...ENVIRONMENT, ...env }).map(([key, value]) => `${key}=${value}`);
    const unset = ['NO_COLOR', 'FORCE_COLOR', 'CI', 'LANG', 'LC_CTYPE'].flatMap((key) => [
      '-u',
      key,
    ]);
    const python = ['python3', '-c', PTY, String(columns), String(rows)];
    this.process = spawnClient(
      ['env', ...unset, ...set, ...python, ...command],
      ['pipe', 'pipe', 'inherit'],
    );
    const chunks: Buffer[] = [];
    this.process.stdout!.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      this.raw = Buffer.concat(chunks).toString();
    });
    this.process.stdin!.on('error', () => undefined);
    this.ended = new Promise((done) => this.process.on('close', done));
  }

  /** Types keys. */
  type(keys: string): void {
    this.process.stdin!.write(keys);
  }

  /** Changes the size, as a user drags the window. */
  resize(columns: number, rows: number): void {
    [this.#columns, this.#rows] = [columns, rows];
    this.process.stdin!.write(Buffer.from([0xff, columns, rows]));
  }

  /** The lines of the screen, without blanks at their ends. */
  get screen(): string[] {
    return draw(this.raw, this.#columns, this.#rows);
  }

  /** The screen as one text. */
  get text(): string {
    return this.screen.join('\n');
  }

  /** Resolves once the screen matches. */
  async shows(pattern: RegExp, ms = 10_000): Promise<void> {
    await until(
      () => pattern.test(this.text),
      () => `no ${String(pattern)} on the screen:\n${this.text}\n`,
      ms,
    );
  }
}

/** Draws text with the sequences of ECMA-48 that programs here use; any other is an error. */
function draw(text: string, columns: number, rows: number): string[] {
  let grid: string[][] = Array.from({ length: rows }, () => []);
  let [row, column] = [0, 0];
  const down = (): void => {
    if (row < rows - 1) row++;
    else grid = [...grid.slice(1), []];
  };
  const sequence = /\x1b\[([?\d;]*)([A-Za-z])|[^]/gu; // eslint-disable-line no-control-regex
  for (const [char, parameter, verb] of text.matchAll(sequence)) {
    if (verb === 'H') [row, column] = [0, 0];
    else if (verb === 'J' && parameter === '2') grid = grid.map(() => []);
    else if (verb === 'J')
      grid = grid.map((line, at) => (at < row ? line : at > row ? [] : line.slice(0, column)));
    else if (verb === 'K' && parameter === '2') grid[row] = [];
    else if (verb === 'm' || parameter?.startsWith('?')) continue;
    else if (verb !== undefined) throw new Error(`unknown sequence ${JSON.stringify(char)}`);
    else if (char === '\r') column = 0;
    else if (char === '\n') down();
    else {
      if (column === columns) {
        column = 0;
        down();
      }
      while (grid[row].length < column) grid[row].push(' ');
      grid[row][column++] = char;
    }
  }
  return grid.map((line) => line.join('').trimEnd());
}
