/** Helpers of the tests of `eventfs mount --guard` and `--fd-holder`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { statusOf as statusOfDirectory } from '../../support/clients/actor.js';
import {
  type Daemon,
  type DaemonSetting,
  PROJECT,
  run,
  startDaemon,
  until,
} from '../../support/mount/daemon.js';

/** Starts a guardian and its first daemon: `pid` is the guardian's. */
export async function startGuarded(
  args: readonly string[] = [],
  path?: string,
  setting: DaemonSetting = {},
): Promise<Daemon> {
  return startDaemon(['--guard', '--source', 'none', ...args], path, setting);
}

/** How much longer than a start at this moment the steps of a daemon may take. */
const PATIENCE = 8;
const [LEAST_DEADLINE_S, MOST_DEADLINE_S] = [2, 8];

/**
 * Returns a short time limit for the steps of a daemon, for --guard-deadline, in seconds. A daemon
 * that works keeps it on a busy machine too: the limit depends on how long a start takes now.
 */
export async function shortDeadline(): Promise<number> {
  const beganMs = performance.now();
  const daemon = await startDaemon();
  const tookS = (performance.now() - beganMs) / 1000;
  await daemon.stop();
  return Math.min(Math.max(Math.ceil(PATIENCE * tookS), LEAST_DEADLINE_S), MOST_DEADLINE_S);
}

/** Returns a value of `log/.status`, which the daemon reads at this moment. */
export async function statusOf(path: string, key: string): Promise<string | undefined> {
  return statusOfDirectory(`${path}/log`, key);
}

export async function daemonPid(path: string): Promise<number> {
  return Number(await statusOf(path, 'DAEMON'));
}

/** Kills the daemon, and returns the PID of the next one once it serves. */
export async function killDaemon(
  path: string,
  signal: NodeJS.Signals = 'SIGKILL',
): Promise<number> {
  const before = await daemonPid(path);
  process.kill(before, signal);
  return until(async () => {
    const now = await daemonPid(path);
    return now !== before && now > 0 ? now : 0;
  }, 'no other daemon serves');
}

/** Waits until the next daemon has started and waits. */
export async function untilStandby(path: string): Promise<void> {
  await until(async () => (await statusOf(path, 'STANDBY')) === '1', 'there is no standby', 15_000);
}

/** A program file that runs as `eventfs`, and that a test replaces by another version. */
export class InstalledVersion {
  readonly #directory = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'version-'));
  readonly script = join(this.#directory, 'eventfs.mjs');

  constructor() {
    this.install('');
  }

  /** @param begin JavaScript that runs first */
  install(begin: string): void {
    const main = JSON.stringify(join(PROJECT, 'dist/fs/cli/main.js'));
    writeFileSync(this.script, `${begin}\nawait (await import(${main})).main(process.argv);\n`);
  }

  get command(): readonly string[] {
    return [process.execPath, this.script];
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true });
  }
}

/** The code of a version that dies. */
export const DIE = "process.kill(process.pid, 'SIGKILL'); for (;;);";

/** The code of a version that can not load the module with this name, which it imports late. */
export function withoutModule(name: string): string {
  const failing = `throw Object.assign(new Error('EMFILE: too many open files, open'),
    { code: 'EMFILE', errno: -24, syscall: 'open', path: '/${name}' });`;
  const hook = `export const resolve = (specifier, context, next) =>
    specifier.endsWith('/${name}')
      ? { url: ${JSON.stringify(asModule(failing))}, shortCircuit: true }
      : next(specifier, context);`;
  return `process.getBuiltinModule('node:module').register(${JSON.stringify(asModule(hook))});`;
}

function asModule(code: string): string {
  return `data:text/javascript,${encodeURIComponent(code)}`;
}

/** The URL of the compiled fs/. */
export const DIST = new URL('../../../fs', import.meta.url).href;

/** The code of a version with another method of a class; `before` is the one that it replaces. */
export function replacing(module: string, name: string, method: string, code: string): string {
  return `{ const { ${name} } = await import('${DIST}/${module}');
    const before = ${name}.prototype.${method};
    ${name}.prototype.${method} = ${code}; }\n`;
}

/** The same for a method of a daemon's connection to its guardian. */
export function inGuardian(method: string, code: string): string {
  return replacing('guard/guardian.js', 'Guardian', method, code);
}

/** A cat(1) of `stream`, whose descriptor must outlive each daemon. */
export class Reader {
  static #serial = 0;
  readonly #process: ChildProcess;
  #out = '';

  private constructor(path: string) {
    this.#process = spawn('cat', [`${path}/stream`], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#process.stdout!.on('data', (chunk: Buffer) => (this.#out += chunk.toString()));
  }

  /** Starts a reader. Resolves once it has read an event, and so waits for the next one. */
  static async blocked(path: string): Promise<Reader> {
    const reader = new Reader(path);
    await until(async () => (await statusOf(path, 'STREAMS')) !== '0', 'the reader did not open');
    await reader.getsNext(path);
    return reader;
  }

  /** Publishes an event, and waits until the reader has it. */
  async getsNext(path: string): Promise<void> {
    this.#out = '';
    const devpath = `/next/${++Reader.#serial}`;
    const event = `add@${devpath}\nACTION=add\nDEVPATH=${devpath}\n`;
    const { code } = await run(['tee', `${path}/publish`], { input: event });
    if (code !== 0) throw new Error('the event could not be published');
    await until(() => this.#out.includes(`DEVPATH=${devpath}\n`), 'the reader did not get it');
    const copies = this.#out.split(`DEVPATH=${devpath}\n`).length - 1;
    if (copies !== 1) throw new Error(`the reader got the event ${copies} times`);
  }
}
