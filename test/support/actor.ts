/** Clients of the mount that do what they are told, one system call at a time: test/programs/actor.c. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { errnoName } from '../../fs/shared/errors.js';
import { PROJECT, run, until, within } from './daemon.js';
import { forOthers, refuseUnreadable } from './other-user.js';

export { AS_NOBODY } from './other-user.js';

const ANSWER_TIMEOUT_MS = 10_000;

/** Builds the programs of test/programs; nothing happens when they are built. */
export function buildClients(): void {
  execFileSync('make', ['-s', '-C', join(PROJECT, 'test/programs')]);
}

/** Where a program of test/programs is that every user can run: a copy. */
export function client(name: string): string {
  return forOthers(join(PROJECT, 'test/build', name));
}

/** A process that answers each command with one line. */
export class Actor {
  static readonly #all = new Set<Actor>();
  readonly #process: ChildProcess;
  /** Resolves when it has ended and been waited for. */
  readonly ended: Promise<void>;
  readonly #waiting: ((answer: string) => void)[] = [];
  #rest = '';
  #errors = '';

  /** @param under a command that runs it, as in `AS_NOBODY` */
  constructor(under: readonly string[] = []) {
    const [command, ...args] = [...under, client('actor')];
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

  /** Ends all that are left. */
  static async endAll(): Promise<void> {
    await Promise.all([...Actor.#all].map((actor) => actor.kill()));
  }

  /** Its PID: that of the outermost command. */
  get pid(): number {
    return this.#process.pid!;
  }

  /** Gives `ok`, `ok VALUE`, or the name of an errno. */
  async ask(command: string): Promise<string> {
    const answer = new Promise<string>((done) => this.#waiting.push(done));
    this.#process.stdin!.write(`${command}\n`);
    return within(ANSWER_TIMEOUT_MS, answer, `no answer to '${command}'`);
  }

  /** The number that a command gives. */
  async get(command: string): Promise<number> {
    const answer = await this.ask(command);
    if (!/^ok -?\d+$/.test(answer)) throw new Error(`${command}: ${answer}`);
    return Number(answer.slice(3));
  }

  /** Asks for something that blocks in read(2); resolves when it does, to what comes in the end. */
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

  /** Kills it and waits until it has been waited for, and so has what runs it. */
  async kill(): Promise<void> {
    try {
      process.kill(this.#innermost(), 'SIGKILL');
    } catch {
      // ESRCH: it is dead, and what runs it will see that.
    }
    await within(5000, this.ended, 'the actor did not end');
  }

  /** The actor itself, below the commands that run it. */
  #innermost(): number {
    let pid = this.pid;
    while (commOf(pid) !== 'actor' && childrenOf(pid).length > 0) [pid] = childrenOf(pid);
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
 * Resolves when this process has its group for itself: those that lost their parents are waited for by the machine's
 * first process, which takes its time. The runner complains of what is left.
 */
export async function untilAlone(): Promise<void> {
  const [, , group] = statOf(process.pid)!;
  if (Number(group) !== process.pid) return; // not started by the runner
  const others = (): number[] =>
    readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 0 && pid !== process.pid && statOf(pid)?.[2] === group);
  await until(() => others().length === 0, `processes are left: ${others().join(' ')}`, 15_000);
}

/** The fields of proc_pid_stat(5) from the third on: state, parent, group. */
function statOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

function commOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'latin1').trim();
  } catch {
    return '';
  }
}

/** Resolves when a process sleeps in read(2). */
export async function untilBlocked(pid: number, observer: Actor): Promise<void> {
  await until(
    async () => (await observer.ask(`blocked ${pid}`)) === 'ok 1',
    `${pid} did not block in read(2)`,
  );
}

/** The letter that proc_pid_stat(5) gives for a process's state, or undefined when there is none. */
export function stateOf(pid: number): string | undefined {
  return statOf(pid)?.[0];
}

/** Whether all of a process has ended, waited for or not. */
export function isDead(pid: number): boolean {
  return (stateOf(pid) ?? 'Z') === 'Z';
}

/** Processes whose parent is `pid`. */
export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1')
      .split(' ')
      .filter(Boolean)
      .map(Number);
  } catch {
    return [];
  }
}

/** A value of a directory's `.status`, read in a process that can be killed. */
export async function statusOf(directory: string, key: string): Promise<string | undefined> {
  const { out } = await run(['cat', `${directory}/.status`]);
  return new RegExp(`^${key}=(.*)$`, 'm').exec(out)?.[1];
}

/** `ok`, or the errno's name: what whoever looks for it now finds at `path`. */
export function reach(path: string): string {
  try {
    statSync(path);
    return 'ok';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}
