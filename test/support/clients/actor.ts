/**
 * Clients of the mount that make one system call for each command: test/programs/clients/actor.c.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { compiled } from './compiled.js';
import { errnoName } from '../../../fs/shared/errors.js';
import { run, until, within } from '../mount/daemon.js';
import { refuseUnreadable } from '../mount/other-user.js';
import { statOf, allProcesses, childrenOf } from '../processes.js';

export { AS_NOBODY } from '../mount/other-user.js';

const ANSWER_TIMEOUT_MS = 10_000;

/** A process that executes commands and answers each with one line. */
export class Actor {
  static readonly #all = new Set<Actor>();
  readonly #process: ChildProcess;
  /** Resolves after the process has ended and its exit status has been read. */
  readonly ended: Promise<void>;
  readonly #waiting: ((answer: string) => void)[] = [];
  #rest = '';
  #errors = '';

  /** @param under a command that runs the actor, as in `AS_NOBODY` */
  constructor(under: readonly string[] = []) {
    const [command, ...args] = [...under, compiled('actor')];
    refuseUnreadable([command, ...args]);
    this.#process = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#process.stdin!.on('error', () => undefined);
    this.#process.stderr!.on('data', (chunk: Buffer) => (this.#errors += chunk.toString()));
    this.#process.stdout!.on('data', (chunk: Buffer) => this.#take(chunk.toString()));
    this.ended = new Promise((done) => this.#process.once('exit', () => done()));
    void this.ended.then(() => {
      Actor.#all.delete(this);
      for (const answer of this.#waiting.splice(0)) answer(`ended ${this.#errors}`);
    });
    Actor.#all.add(this);
  }

  /** Kills all actors that still run. */
  static async endAll(): Promise<void> {
    await Promise.all([...Actor.#all].map((actor) => actor.kill()));
  }

  /** The PID of the outermost command. */
  get pid(): number {
    return this.#process.pid!;
  }

  /**
   * Sends a command and waits up to 10 s for the answer.
   * @returns `ok`, `ok VALUE`, or the name of an errno
   * @throws Error if no answer comes in time
   */
  async ask(command: string): Promise<string> {
    const answer = new Promise<string>((done) => this.#waiting.push(done));
    this.#process.stdin!.write(`${command}\n`);
    return within(ANSWER_TIMEOUT_MS, answer, `no answer to '${command}'`);
  }

  /**
   * Sends a command whose answer is a number.
   * @throws Error if the answer is not `ok NUMBER`
   */
  async get(command: string): Promise<number> {
    const answer = await this.ask(command);
    if (!/^ok -?\d+$/.test(answer)) throw new Error(`${command}: ${answer}`);
    return Number(answer.slice(3));
  }

  /**
   * Sends a command that blocks in read(2), and resolves when it blocks.
   * @param observer another actor, which looks whether this one blocks
   * @returns `answer` resolves to the answer that ends the wait
   * @throws Error if the command does not block
   */
  async block(command: string, observer: Actor): Promise<{ answer: Promise<string> }> {
    const tid = await this.get('outer');
    const answer = this.ask(command);
    const early = answer.then((got) =>
      Promise.reject(new Error(`'${command}' did not block: ${got}`)),
    );
    early.catch(() => undefined);
    await Promise.race([untilBlocked(tid, observer), early]);
    return { answer };
  }

  /** Kills the actor, and waits until it and the commands that run it have been waited for. */
  async kill(): Promise<void> {
    try {
      process.kill(this.#innermost(), 'SIGKILL');
    } catch {
      // ESRCH: it is dead already, and the command that runs it will notice.
    }
    await within(20_000, this.ended, 'the actor did not end');
  }

  /** The PID of the actor itself, below the commands that run it. */
  #innermost(): number {
    let pid = this.pid;
    while (statOf(pid)?.name !== 'actor' && childrenOf(pid).length > 0) [pid] = childrenOf(pid);
    return pid;
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) {
      const failed = /^errno (\d+)$/.exec(line);
      this.#waiting.shift()?.(failed === null ? line : errnoName(Number(failed[1])));
    }
  }
}

/**
 * Resolves when this process is alone in its process group. The machine's first process waits for
 * orphans, and may take long. The runner reports processes that are left.
 */
export async function untilAlone(): Promise<void> {
  if (statOf(process.pid)!.group !== process.pid) return; // the runner has not started this process
  const others = (): string[] =>
    allProcesses()
      .filter(({ pid, group }) => pid !== process.pid && group === process.pid)
      .map(({ pid, name }) => `${pid} ${name}`);
  await until(
    () => others().length === 0,
    () => `processes are left: ${others().join(', ')}`,
    15_000,
  );
}

/**
 * Resolves when a process sleeps in read(2).
 * @param observer an actor that looks at the process
 */
export async function untilBlocked(pid: number, observer: Actor): Promise<void> {
  await until(
    async () => (await observer.ask(`blocked ${pid}`)) === 'ok 1',
    `${pid} did not block in read(2)`,
  );
}

/**
 * Reads a value of a directory's `.status`, in a process that can be killed.
 * @returns undefined if the file has no such key
 */
export async function statusOf(directory: string, key: string): Promise<string | undefined> {
  const { out } = await run(['cat', `${directory}/.status`]);
  return new RegExp(`^${key}=(.*)$`, 'm').exec(out)?.[1];
}

/**
 * Looks up `path` with stat(2).
 * @returns `ok`, or the errno's name
 */
export function reach(path: string): string {
  try {
    statSync(path);
    return 'ok';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}
