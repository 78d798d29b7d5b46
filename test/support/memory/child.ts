/** Processes that own directories in tests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { isDead } from '../processes.js';
import type { By } from './connection.js';

/** The time for a process to end after SIGKILL on a busy machine. */
const KILL_MS = 2000;

const living = new Set<ChildProcess>();
// The runner counts processes that outlive their test file, so this waits until each is a zombie.
process.once('exit', () => {
  for (const child of living) child.kill('SIGKILL');
  const end = Date.now() + KILL_MS;
  for (const { pid } of living) while (!isDead(pid!) && Date.now() < end) continue;
});

/** A process that owns directories. It does nothing until it is killed or this process ends. */
export class Child {
  readonly process: ChildProcess = spawn('sleep', ['1000'], { stdio: 'ignore' });
  alive = true;

  constructor() {
    living.add(this.process);
    this.process.unref(); // a failed test does not wait for it
  }

  get pid(): number {
    return this.process.pid!;
  }

  get by(): By {
    return { pid: this.pid };
  }

  /** Sends SIGKILL; resolves once this process has waited for it, as after waitpid(2). */
  async die(): Promise<void> {
    if (!this.alive) return;
    this.alive = false;
    living.delete(this.process);
    this.process.ref();
    const gone = new Promise((done) => this.process.once('exit', done));
    this.process.kill('SIGKILL');
    await gone;
  }
}
