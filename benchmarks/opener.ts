/** A process that opens a file many times and does not read it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { within } from '../test/support/mount/daemon.js';

const SCRIPT =
  'import os, sys\nfor n in range(int(sys.argv[2])): os.open(sys.argv[1], os.O_RDONLY)\nprint("open", flush=True)\nsys.stdin.read()';
const TIMEOUT_MS = 30_000;

/** A process with open files. */
export class Opener {
  private constructor(private readonly process: ChildProcess) {}

  /**
   * Starts the process, and resolves once it has opened `path` `count` times.
   * @throws Error after 30 s
   */
  static async of(path: string, count: number): Promise<Opener> {
    const child = spawn(
      'prlimit',
      [`--nofile=${count + 64}`, 'python3', '-c', SCRIPT, path, String(count)],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    await within(
      TIMEOUT_MS,
      new Promise<void>((done) => child.stdout.once('data', () => done())),
      'the process did not open the files',
    );
    return new Opener(child);
  }

  /** Ends the process. */
  async end(): Promise<void> {
    const ended = new Promise<void>((done) => this.process.once('exit', () => done()));
    this.process.stdin!.end();
    await within(TIMEOUT_MS, ended, 'the process did not end');
  }
}
