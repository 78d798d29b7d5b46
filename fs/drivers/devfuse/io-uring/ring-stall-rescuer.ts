/**
 * Through io_uring a request may wait in the kernel for a reply on its CPU's queue, while all of
 * those who could be replied to there are blocked readers (native/addon/io_uring/fuse_ring.h). Then
 * somebody else must ask us something on that CPU: the reply to that brings the first of those who
 * wait. A process for each time, because a thread of ours, or the notifier, that waits there itself
 * could not be helped.
 */
import { spawn } from 'node:child_process';
import { type FuseChannel, notifierProgram } from '#native';

/** Replies that are under way by then need no help. */
const WAIT_MS = 10;
/** How long the helper may take, and how soon another one is tried. */
const HELP_TIMEOUT_MS = 500;
const RETRY_MS = 100;

export class RingStallRescuer {
  /** How often help was needed, for `.status`. */
  helped = 0;
  #timer: NodeJS.Timeout | null = null;

  /**
   * @param path where the mount is
   * @param minor its device, so that nothing else is touched there
   */
  constructor(
    private readonly channel: FuseChannel,
    private readonly path: string,
    private readonly minor: number,
  ) {}

  /** A queue may be starved. */
  readonly told = (): void => this.#lookIn(WAIT_MS);

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #lookIn(ms: number): void {
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
    const helper = spawn(notifierProgram, args, {
      stdio: 'ignore',
      cwd: '/',
      timeout: HELP_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    helper.once('error', () => this.#lookIn(RETRY_MS));
    helper.once('exit', (code) => this.#lookIn(code === 0 ? 0 : RETRY_MS));
  }
}
