/** Bridges, and readers of a fleet's mount. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { killClients, spawnClient } from '../clients/clients.js';
import { type Daemon, EVENTFS_NODE, run, until, within } from '../mount/daemon.js';
import { stopFleet } from './broker.js';

export const PATIENCE_MS = 20_000;

/** Makes an empty directory that the runner removes. */
export function scratch(): string {
  return mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'fleet-'));
}

/** A running `eventfs bridge`. */
export class Bridge {
  static readonly #all = new Set<Bridge>();
  readonly process: ChildProcess;
  log = '';
  readonly ended: Promise<number | NodeJS.Signals | null>;

  /** @param under a command that runs it */
  constructor(
    readonly args: readonly string[],
    under: readonly string[] = [],
  ) {
    const command = [...under, ...EVENTFS_NODE, 'bridge', ...args];
    this.process = spawn(command[0], command.slice(1), { stdio: ['ignore', 'inherit', 'pipe'] });
    this.process.stderr!.on('data', (chunk: Buffer) => (this.log += chunk.toString()));
    this.ended = new Promise((done) =>
      this.process.on('close', (code, signal) => done(code ?? signal)),
    );
    Bridge.#all.add(this);
    void this.ended.then(() => Bridge.#all.delete(this));
  }

  async says(pattern: RegExp, ms = PATIENCE_MS): Promise<void> {
    await until(
      () => pattern.test(this.log),
      () => `${String(pattern)} is not in ${this.log}`,
      ms,
    );
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals | null> {
    this.process.kill(signal);
    return within(PATIENCE_MS, this.ended, `the bridge did not end: ${this.log}`);
  }

  static async killAll(): Promise<void> {
    await Promise.all([...Bridge.#all].map((each) => each.stop('SIGKILL')));
  }
}

/** Returns a command that runs another one with this text in a file. */
export function withFile(path: string, text: string): string[] {
  const file = join(scratch(), 'file');
  writeFileSync(file, text);
  const script = 'mount --bind "$1" "$2"; shift 2; exec "$@"';
  return ['unshare', '--mount', 'sh', '-ec', script, 'sh', file, path];
}

/** Returns a command that runs another one with a machine id of its own. @param id one digit */
export function onMachine(id: string): string[] {
  return withFile('/etc/machine-id', `${id.repeat(32)}\n`);
}

/** Tells whether the fleet's mount has a directory for each of these hosts. */
export async function knows(fleet: string, ...hosts: readonly string[]): Promise<void> {
  await until(
    async () => {
      const { out } = await run(['ls', fleet]);
      return hosts.every((host) => out.split('\n').includes(host));
    },
    `${fleet} does not have ${hosts.join(', ')}`,
    PATIENCE_MS,
  );
}

/** Waits until a host's directory is gone. @returns how long it took, in ms */
export async function forgets(fleet: string, host: string, ms = PATIENCE_MS): Promise<number> {
  const start = performance.now();
  await until(
    () => run(['ls', fleet]).then(({ out }) => !out.split('\n').includes(host)),
    `${fleet} still has ${host}`,
    ms,
  );
  return performance.now() - start;
}

/** Publishes numbered events: N=from to N=to - 1. */
export function publish(daemon: Daemon, from: number, to: number, subsystem = 'mine'): void {
  const text = (n: number): string =>
    `change@/n/${n}\nACTION=change\nDEVPATH=/n/${n}\nSUBSYSTEM=${subsystem}\nN=${n}\n\n`;
  for (let n = from; n < to; n += 100) {
    const some = Array.from({ length: Math.min(100, to - n) }, (_, at) => text(n + at));
    writeFileSync(`${daemon.path}/publish`, some.join(''));
  }
}

/** Reads a stream, and checks the numbers of the events of {@link publish}. */
export class Reader {
  #text = '';
  /** The number that comes next; the losses before it are counted. */
  next = 0;
  lost = 0;
  events = 0;
  /** The first event that was out of order, or came twice. */
  #wrong: string | null = null;
  readonly #process: ChildProcess;

  private constructor(path: string) {
    this.#process = spawnClient(['cat', path], ['ignore', 'pipe', 'inherit']);
    this.#process.stdout!.on('data', (chunk: Buffer) => this.#take(chunk.toString()));
  }

  /** Reads the events of a host that come from now on: the stream is open at the end. */
  static async of({ path }: Pick<Daemon, 'path'>, host: string): Promise<Reader> {
    const reader = new Reader(`${path}/match/HOST=${host}`);
    const own = new RegExp(`^STREAM_\\d+=pid=${reader.#process.pid} `, 'm');
    await until(
      () => own.test(readFileSync(`${path}/log/.status`, 'utf8')),
      `no stream of ${host} is open`,
      PATIENCE_MS,
    );
    return reader;
  }

  #take(chunk: string): void {
    const records = (this.#text + chunk).split('\n\n');
    this.#text = records.pop()!;
    for (const record of records) {
      const lost = /^overflow@[^]*\nLOST=(\d+)$/m.exec(record);
      if (lost !== null) {
        this.lost += Number(lost[1]);
        this.next += Number(lost[1]);
        continue;
      }
      const number = Number(/^N=(\d+)$/m.exec(record)![1]);
      if (number !== this.next) this.#wrong ??= `${number} came instead of ${this.next}`;
      this.next++;
      this.events++;
    }
  }

  /** Waits until all events before `end` have come, or are counted as lost. */
  async reaches(end: number, ms = PATIENCE_MS): Promise<void> {
    await until(
      () => this.next >= end,
      () => `the reader is at ${this.next} of ${end}, ${this.lost} lost`,
      ms,
    );
    assert.is(this.#wrong, null);
    assert.is(this.next, end);
    assert.is(this.events + this.lost, end);
  }

  end(): void {
    this.#process.kill('SIGKILL');
  }
}

/** Ends all clients, bridges, brokers and hosts, and these daemons. */
export async function endFleet(...daemons: readonly Daemon[]): Promise<void> {
  await killClients();
  await Bridge.killAll();
  await Promise.all([...daemons.map((daemon) => daemon.stop()), stopFleet()]);
}
