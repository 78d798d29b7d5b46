/** Clients of a mount as processes of their own: C programs, readers of streams, a publisher. */
import { type ChildProcess, type StdioOptions, execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { PROJECT, descriptors, until, within } from './daemon.js';
import { refuseUnreadable } from './other-user.js';

/** Every client that has not ended. */
const clients = new Set<ChildProcess>();

export function spawnClient(command: readonly string[], stdio: StdioOptions): ChildProcess {
  refuseUnreadable(command);
  const child = spawn(command[0], command.slice(1), { stdio });
  clients.add(child);
  child.on('close', () => clients.delete(child));
  return child;
}

/** Kills the clients that a test which failed has left, and waits for them. */
export async function killClients(): Promise<void> {
  const ends = [...clients].map((child) => new Promise((done) => child.once('close', done)));
  for (const child of clients) child.kill('SIGKILL');
  await within(5000, Promise.all(ends), 'clients did not end by SIGKILL');
}

/** Compiles a program of test/programs/, once for each test file; gives its path. */
export function compile(name: string): string {
  const program = join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), `client-${name}`);
  if (!existsSync(program) || process.env.EVENTFS_TEST_DIR === undefined) {
    execFileSync('cc', [
      '-O1',
      '-Wall',
      '-Werror',
      '-pthread',
      '-o',
      program,
      join(PROJECT, `test/programs/${name}.c`),
    ]);
  }
  return program;
}

/** Numbers that a call's answer begins with, or an errno's name; then the bytes that it read, or more words. */
export interface Answer {
  /** What the system call gave, -1 when it failed. */
  readonly value: number;
  /** Why it failed, as in `EAGAIN`, or ''. */
  readonly errno: string;
  /** What follows the value, words with blanks between them. */
  readonly rest: readonly string[];
  /** The same as bytes: what a read has got. */
  readonly bytes: string;
}

const CALL_TIMEOUT_MS = 10_000;

/** A process that makes the system calls that it is told (test/programs/stream-calls.c). */
export class Calls {
  readonly process: ChildProcess;
  readonly #answers: { done: (line: string) => void; failed: (error: Error) => void }[] = [];

  constructor(command: readonly string[] = []) {
    this.process = spawnClient([...command, compile('stream-calls')], ['pipe', 'pipe', 'inherit']);
    createInterface({ input: this.process.stdout! }).on('line', (line) =>
      this.#answers.shift()?.done(line),
    );
    this.process.stdin!.on('error', () => undefined); // it says so below
    this.process.on('close', (code, signal) => {
      for (const { failed } of this.#answers) failed(new Error(`it ended with ${code ?? signal}`));
    });
  }

  get pid(): number {
    return this.process.pid!;
  }

  /** Makes a call that should end at once. */
  async call(verb: string, ...args: readonly (string | number)[]): Promise<Answer> {
    return within(
      CALL_TIMEOUT_MS,
      this.begin(verb, ...args),
      `${verb} ${args.join(' ')} did not end`,
    );
  }

  /** Begins a call that may block; resolves when it ends. Strings are bytes as characters. */
  begin(verb: string, ...args: readonly (string | number)[]): Promise<Answer> {
    const answer = new Promise<string>((done, failed) => this.#answers.push({ done, failed }));
    this.process.stdin!.write(`${[verb, ...args.map((arg) => escape(String(arg)))].join(' ')}\n`);
    const parsed = answer.then(parseAnswer);
    parsed.catch(() => undefined); // nobody need wait for it
    return parsed;
  }

  async open(
    slot: number,
    path: string,
    flags: number = constants.O_RDONLY,
    mode = 0o644,
  ): Promise<Answer> {
    return this.call('open', slot, path, flags, mode);
  }

  /** Resolves once it sleeps in a system call whose wait the kernel calls by `where`, FUSE's by default. */
  async sleeps(where = /^(fuse_|request_wait)/): Promise<void> {
    await until(
      () => where.test(readFileSync(`/proc/${this.pid}/wchan`, 'latin1')),
      'it did not sleep',
    );
  }

  async end(): Promise<void> {
    const gone = new Promise<void>((done) => this.process.once('exit', () => done()));
    this.process.kill('SIGKILL');
    await within(5000, gone, 'it did not end');
  }
}

function escape(text: string): string {
  return text.replace(
    /[^!-$&-~]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

function parseAnswer(line: string): Answer {
  const [first, ...rest] = line.split(' ');
  const failed = first.startsWith('-');
  return {
    value: failed ? -1 : Number(first),
    errno: failed ? first.slice(1) : '',
    rest,
    bytes: rest
      .join('')
      .replace(/%([0-9A-F]{2})/g, (_, code: string) => String.fromCharCode(parseInt(code, 16))),
  };
}

/** A process that reads a stream until it ends or is killed. */
export class Reader {
  readonly process: ChildProcess;
  /** What it has read, bytes as characters. */
  text = '';
  err = '';
  readonly ended: Promise<number | NodeJS.Signals | null>;

  /** @param command what prints the stream, with its path */
  constructor(
    readonly path: string,
    command: readonly string[] = ['cat'],
  ) {
    this.process = spawnClient([...command, path], ['ignore', 'pipe', 'pipe']);
    this.process.stdout!.on('data', (chunk: Buffer) => (this.text += chunk.toString('latin1')));
    this.process.stderr!.on('data', (chunk: Buffer) => (this.err += chunk.toString('latin1')));
    this.ended = new Promise((done) =>
      this.process.on('close', (code, signal) => done(code ?? signal)),
    );
  }

  /** A reader that has the stream open: whatever comes from now on is for it. */
  static async on(path: string, command?: readonly string[]): Promise<Reader> {
    const reader = new Reader(path, command);
    const name = basename(path);
    await until(
      () =>
        reader.process.exitCode !== null ||
        descriptors(reader.process.pid!).some((target) => basename(target) === name),
      `${path} was not opened`,
    );
    if (reader.process.exitCode !== null)
      throw new Error(`it ended with ${reader.process.exitCode}: ${reader.err}`);
    return reader;
  }

  /** The records so far that are whole. */
  get records(): string[] {
    return this.text.split('\n\n').slice(0, -1);
  }

  /** Resolves once it has that many whole records. */
  async has(count: number, ms?: number): Promise<string[]> {
    await until(
      () => this.records.length >= count,
      `${count} records did not come, but ${this.records.length}`,
      ms,
    );
    return this.records;
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.process.kill(signal);
    await within(5000, this.ended, `the reader did not end by ${signal}`);
  }
}

/** The text of an event with some properties, without the empty line that ends a record. */
export function eventText(
  devpath: string,
  properties: Readonly<Record<string, string | number>> = {},
  action = 'add',
): string {
  const lines = [
    `${action}@${devpath}`,
    `ACTION=${action}`,
    ...Object.entries(properties).map(([key, value]) => `${key}=${value}`),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

/** Publishes each of the texts, one write(2) an event. */
export function publish(mount: string, ...texts: readonly (string | Buffer)[]): void {
  const fd = openSync(`${mount}/publish`, constants.O_WRONLY);
  try {
    for (const text of texts)
      writeSync(fd, typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  } finally {
    closeSync(fd);
  }
}

/** Publishes `count` events, `N=<first>` and so on, on `/devices/n`. */
export function publishNumbered(
  mount: string,
  count: number,
  first = 0,
  properties: Readonly<Record<string, string>> = {},
): void {
  publish(
    mount,
    ...Array.from({ length: count }, (_, i) =>
      eventText('/devices/n', { N: first + i, ...properties }),
    ),
  );
}

/** A thousand events a second and more, until it is ended. From this process: a shell's `sleep` would outlive the shell. */
export class Storm {
  readonly #fd: number;
  readonly #timer: NodeJS.Timeout;
  published = 0;

  constructor(mount: string) {
    this.#fd = openSync(`${mount}/publish`, constants.O_WRONLY);
    const text = Buffer.from(eventText('/devices/storm', { SUBSYSTEM: 'net' }));
    this.#timer = setInterval(() => {
      for (let n = 0; n < 10; n++, this.published++) writeSync(this.#fd, text);
    }, 5);
  }

  end(): void {
    clearInterval(this.#timer);
    closeSync(this.#fd);
  }
}

/** The values of a property in records or texts, one each, '' where it has none. */
export function valuesOf(key: string, records: readonly string[]): string[] {
  return records.map((record) => new RegExp(`^${key}=(.*)$`, 'm').exec(record)?.[1] ?? '');
}

/** A `.status` file's lines. */
export function statusOf(directory: string): Record<string, string> {
  const lines = readFileSync(`${directory}/.status`, 'latin1')
    .split('\n')
    .filter((line) => line !== '');
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

/** What the daemon says on stderr when something unexpected happened. */
export const STACK_TRACE = /^\s+at |EIO|refused the reply/m;
