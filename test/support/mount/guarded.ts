/** A guarded mount whose daemon is killed. */
import { readdirSync, readlinkSync, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { childrenNamed, descriptors, killed, memoryKib } from '../processes.js';
import {
  type Daemon,
  EVENTFS_NODE,
  killDaemons,
  mountPoint,
  run,
  startDaemon,
  until,
  within,
} from './daemon.js';

/** The guardian must not give up: a test kills more often than an error does. */
const LIMIT = ['--guard-limit', '1000:1'];
const RESTART_TIMEOUT_MS = 20_000;
const BLOCK_BYTES = 512;

/** The memory and descriptors of the daemon and its guardian. */
export interface Holdings {
  readonly residentMb: number;
  readonly guardianMb: number;
  readonly descriptors: number;
  readonly guardianDescriptors: number;
  /** The memory behind the state. */
  readonly stateMb: number;
}

/** A guardian, and the daemon that it starts again. */
export class GuardedMount {
  private constructor(readonly guardian: Daemon) {}

  /** @param args options of `eventfs mount` */
  static async start(args: readonly string[]): Promise<GuardedMount> {
    return new GuardedMount(await startDaemon([...args, '--guard', ...LIMIT], mountPoint()));
  }

  get path(): string {
    return this.guardian.path;
  }

  /** Returns the PID of the daemon that runs now, or starts. */
  daemon(): Promise<number> {
    return until(
      () => childrenNamed(this.guardian.pid, '')[0],
      'the guardian starts no daemon',
      RESTART_TIMEOUT_MS,
    );
  }

  /**
   * Kills the daemon, and waits until a call is served.
   * @param again how long after it the next daemon is killed too, in milliseconds
   * @returns the time without service, in milliseconds
   */
  async kill(again?: number): Promise<number> {
    await this.#killDaemon();
    const began = performance.now();
    if (again !== undefined) {
      await sleep(again);
      await this.#killDaemon();
    }
    await within(RESTART_TIMEOUT_MS, stat(`${this.path}/publish`), 'no daemon serves');
    return performance.now() - began;
  }

  /** After a reload the first child may be the old daemon, which ends just now. */
  async #killDaemon(): Promise<void> {
    while (!killed(await this.daemon()));
  }

  /** Kills the guardian and its daemons, which would outlive it. */
  async end(): Promise<void> {
    const daemons = childrenNamed(this.guardian.pid, '');
    this.guardian.process.kill('SIGKILL');
    daemons.forEach(killed);
    await killDaemons();
  }

  /**
   * Hands the mount to a new daemon by `eventfs reload`.
   * @param killAfter when the new daemon is killed, in milliseconds; without it, it lives
   * @returns the exit code
   */
  async reload(killAfter?: number): Promise<number | null> {
    const before = await this.daemon();
    const reloaded = run([...EVENTFS_NODE, 'reload', this.path]);
    if (killAfter !== undefined) {
      const next = (): number | undefined =>
        childrenNamed(this.guardian.pid, '').find((pid) => pid !== before);
      await until(() => next() !== undefined, 'no new daemon is started', RESTART_TIMEOUT_MS);
      await sleep(killAfter);
      const pid = next();
      if (pid !== undefined) killed(pid);
    }
    return (await reloaded).code;
  }

  /** Measures the daemon and its guardian. */
  async holdings(): Promise<Holdings> {
    const pid = await this.daemon();
    return {
      residentMb: residentMb(pid),
      guardianMb: residentMb(this.guardian.pid),
      descriptors: descriptors(pid).length,
      guardianDescriptors: descriptors(this.guardian.pid).length,
      stateMb: this.#stateMb(),
    };
  }

  #stateMb(): number {
    const directory = `/proc/${this.guardian.pid}/fd`;
    return readdirSync(directory)
      .filter((fd) => readlinkSync(`${directory}/${fd}`).startsWith('/memfd:'))
      .reduce(
        (sum, fd) => sum + (statSync(`${directory}/${fd}`).blocks * BLOCK_BYTES) / 2 ** 20,
        0,
      );
  }
}

/** Without shared memory: that is the state. */
function residentMb(pid: number): number {
  return memoryKib(pid, 'RssAnon') / 1024;
}

/** Returns the middle value. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >>> 1];
}

/** Returns a generator of numbers below 1 from a seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
