/**
 * Releases requests that are stuck in the kernel with io_uring. A request may wait there for a
 * reply on its CPU's queue, while blocked readers hold all entries of that queue
 * (native/addon/io_uring/fuse_ring.h). Then another process has to make a request on that CPU: the
 * reply to it releases the first request that waits. The daemon starts a process each time. A
 * thread of the daemon, or the notifier, could get stuck there itself, and no process would release
 * it.
 */
import type { ChildProcess } from 'node:child_process';
import { startProcess } from '../../../shared/start-process.js';
import { type FuseChannel, notifierProgram } from '#native';

/** The pause before the first check, in ms: replies on their way may release the requests. */
const WAIT_MS = 10;
/** How long the helper process may take, and the delay before the next try. */
const HELP_TIMEOUT_MS = 500;
const RETRY_MS = 100;

/** Starts a helper process on each CPU whose queue is starved. */
export class RingStallRescuer {
  /** How often a helper process was needed, for `.status`. */
  helped = 0;
  #timer: NodeJS.Timeout | null = null;
  /** The helper process that runs. */
  #helper: ChildProcess | null = null;
  #isStopped = false;

  /**
   * @param path the mount point
   * @param minor the minor number of the mount's device; the helper touches no other mount there
   * @param program the helper's program; a test has its own
   */
  constructor(
    private readonly channel: Pick<FuseChannel, 'starvedQueue'>,
    private readonly path: string,
    private readonly minor: number,
    private readonly program: string = notifierProgram,
  ) {}

  /** Looks soon for a starved queue. The channel calls it when a queue may be starved. */
  readonly told = (): void => this.#lookIn(WAIT_MS);

  /** Stops the timer, and kills a helper process that runs. */
  stop(): void {
    this.#isStopped = true;
    this.#helper?.kill('SIGKILL');
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #lookIn(ms: number): void {
    if (this.#isStopped) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#look();
    }, ms);
  }

  #look(): void {
    const cpu = this.channel.starvedQueue();
    if (cpu < 0) return;
    this.helped++;
    const args = [this.path, String(this.minor), String(cpu)];
    const helper = startProcess(
      this.program,
      args,
      { stdio: 'ignore', cwd: '/', timeout: HELP_TIMEOUT_MS, killSignal: 'SIGKILL' },
      () => this.#ended(RETRY_MS),
    );
    this.#helper = helper;
    helper?.once('exit', (code) => this.#ended(code === 0 ? 0 : RETRY_MS));
  }

  /** Notes the end of the helper process, and looks again after `ms`. */
  #ended(ms: number): void {
    this.#helper = null;
    this.#lookIn(ms);
  }
}
