/** Clients of a mount as separate processes: C programs, readers of streams, a publisher. */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { compiled } from './compiled.js';
import { until, within } from '../mount/daemon.js';
import { refuseUnreadable } from '../mount/other-user.js';
import { descriptors } from '../processes.js';

/** Every client that has not ended. */
const clients = new Set<ChildProcess>();

/**
 * Starts a client that {@link killClients} ends.
 * @throws Error if another user runs a command that names a file of the clone
 */
export function spawnClient(command: readonly string[], stdio: StdioOptions): ChildProcess {
  refuseUnreadable(command);
  const child = spawn(command[0], command.slice(1), { stdio });
  clients.add(child);
  child.on('close', () => clients.delete(child));
  return child;
}

/** Kills the clients that failed tests have left, and waits for them. */
export async function killClients(): Promise<void> {
  const ends = [...clients].map((child) => new Promise((done) => child.once('close', done)));
  for (const child of clients) child.kill('SIGKILL');
  await within(20_000, Promise.all(ends), 'clients did not end by SIGKILL');
}

/** The answer to a call: a value or an errno's name, then the bytes read, or more words. */
export interface Answer {
  /** The system call's return value; -1 if it failed. */
  readonly value: number;
  /** The errno's name, as in `EAGAIN`, or '' if the call succeeded. */
  readonly errno: string;
  /** The words after the value. */
  readonly rest: readonly string[];
  /** The same words as bytes: the data of a read. */
  readonly bytes: string;
}

const CALL_TIMEOUT_MS = 10_000;

/** A process that makes system calls on command (test/programs/clients/stream-calls.c). */
export class Calls {
  readonly process: ChildProcess;
  readonly #answers: { done: (line: string) => void; failed: (error: Error) => void }[] = [];

  /** @param command a command that runs the program */
  constructor(command: readonly string[] = []) {
    this.process = spawnClient([...command, compiled('stream-calls')], ['pipe', 'pipe', 'inherit']);
    createInterface({ input: this.process.stdout! }).on('line', (line) =>
      this.#answers.shift()?.done(line),
    );
    this.process.stdin!.on('error', () => undefined); // EPIPE: see 'close' below
    this.process.on('close', (code, signal) => {
      for (const { failed } of this.#answers) failed(new Error(`it ended with ${code ?? signal}`));
    });
  }

  get pid(): number {
    return this.process.pid!;
  }

  /**
   * Makes a call that must end within 10 s.
   * @throws Error if it does not
   */
  async call(verb: string, ...args: readonly (string | number)[]): Promise<Answer> {
    return within(
      CALL_TIMEOUT_MS,
      this.begin(verb, ...args),
      `${verb} ${args.join(' ')} did not end`,
    );
  }

  /**
   * Begins a call that may block; resolves when the call ends.
   * @param args numbers, or strings with one character for each byte
   */
  begin(verb: string, ...args: readonly (string | number)[]): Promise<Answer> {
    const answer = new Promise<string>((done, failed) => this.#answers.push({ done, failed }));
    this.process.stdin!.write(`${[verb, ...args.map((arg) => escape(String(arg)))].join(' ')}\n`);
    const parsed = answer.then(parseAnswer);
    parsed.catch(() => undefined); // the caller need not wait for it
    return parsed;
  }

  /** Makes open(2), and keeps the descriptor in a slot. */
  async open(
    slot: number,
    path: string,
    flags: number = constants.O_RDONLY,
    mode = 0o644,
  ): Promise<Answer> {
    return this.call('open', slot, path, flags, mode);
  }

  /**
   * Resolves once the process sleeps in a system call.
   * @param where matches the kernel function in /proc/PID/wchan; FUSE's by default
   */
  async sleeps(where = /^(fuse_|request_wait)/): Promise<void> {
    await until(
      () => where.test(readFileSync(`/proc/${this.pid}/wchan`, 'latin1')),
      'it did not sleep',
    );
  }

  /** Kills the process, and waits until it has been waited for. */
  async end(): Promise<void> {
    const gone = new Promise<void>((done) => this.process.once('exit', () => done()));
    this.process.kill('SIGKILL');
    await within(20_000, gone, 'it did not end');
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

/** A process that reads a stream until the stream ends or the process is killed. */
export class Reader {
  readonly process: ChildProcess;
  /** The text read so far, one character for each byte. */
  text = '';
  err = '';
  readonly ended: Promise<number | NodeJS.Signals | null>;

  /** @param command a command that prints the stream; the path is appended to it */
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

  /**
   * Starts a reader, and resolves once it has the stream open: it gets all later events.
   * @throws Error if the reader ends before
   */
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

  /** The complete records so far. */
  get records(): string[] {
    return this.text.split('\n\n').slice(0, -1);
  }

  /**
   * Resolves once the reader has `count` complete records.
   * @param ms the time limit, in milliseconds
   * @throws Error if they do not come in time
   */
  async has(count: number, ms?: number): Promise<string[]> {
    await until(
      () => this.records.length >= count,
      () => `${count} records did not come, but ${this.records.length}`,
      ms,
    );
    return this.records;
  }

  /** Sends a signal, and waits until the reader has ended. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.process.kill(signal);
    await within(20_000, this.ended, `the reader did not end by ${signal}`);
  }
}

/** Returns the text of an event, without the empty line that ends a record. */
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

/** Publishes the texts, each with one write(2). */
export function publish(mount: string, ...texts: readonly (string | Buffer)[]): void {
  const fd = openSync(`${mount}/publish`, constants.O_WRONLY);
  try {
    for (const text of texts)
      writeSync(fd, typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  } finally {
    closeSync(fd);
  }
}

/** Publishes `count` events with `N=<first>` and following numbers, on `/devices/n`. */
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

/**
 * Publishes 1000 events a second or more until `end` is called. It publishes from this process: a
 * shell's `sleep` would outlive the shell.
 */
export class Storm {
  readonly #fd: number;
  readonly #timer: NodeJS.Timeout;
  published = 0;

  /** @param mount the mount point */
  constructor(mount: string) {
    this.#fd = openSync(`${mount}/publish`, constants.O_WRONLY);
    const text = Buffer.from(eventText('/devices/storm', { SUBSYSTEM: 'net' }));
    this.#timer = setInterval(() => {
      for (let n = 0; n < 10; n++, this.published++) writeSync(this.#fd, text);
    }, 5);
  }

  /** Ends the storm. */
  end(): void {
    clearInterval(this.#timer);
    closeSync(this.#fd);
  }
}

/** Returns the value of a property in each record or text, '' where the record lacks it. */
export function valuesOf(key: string, records: readonly string[]): string[] {
  return records.map((record) => new RegExp(`^${key}=(.*)$`, 'm').exec(record)?.[1] ?? '');
}

/**
 * Reads a `.status` file.
 * @returns its lines as keys and values
 */
export function statusOf(directory: string): Record<string, string> {
  const lines = readFileSync(`${directory}/.status`, 'latin1')
    .split('\n')
    .filter((line) => line !== '');
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

/** Matches the daemon's stderr after an unexpected error. */
export const STACK_TRACE = /^\s+at |EIO|rejected the reply/m;
