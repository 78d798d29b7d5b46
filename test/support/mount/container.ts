/** Containers made by unshare(1): namespaces of their own, with a shell as their first process. */
import { childrenOf, exists } from '../processes.js';
import { Shell, until } from './daemon.js';

/** Every namespace that a container usually has. Root in it is the user who starts it. */
const IN_CONTAINER = [
  'unshare',
  ...['--user', '--map-root-user', '--net', '--mount', '--pid', '--fork'],
  ...['--kill-child', '--mount-proc'],
] as const;

/** A container and the shell in it. */
export class Container {
  /**
   * @param shell runs commands as the container's first process
   * @param pid the PID of that process outside
   */
  private constructor(
    readonly shell: Shell,
    readonly pid: number,
  ) {}

  /** @param under a command that starts the container, as in `AS_NOBODY` */
  static async start(under: readonly string[] = []): Promise<Container> {
    const shell = new Shell([...under, ...IN_CONTAINER, 'bash']);
    const { code, out } = await shell.run('true');
    if (code !== 0) throw new Error(`the container did not start: ${out}`);
    return new Container(shell, childrenOf(shell.pid)[0]);
  }

  /** The file of its network namespace. */
  get network(): string {
    return `/proc/${this.pid}/ns/net`;
  }

  /**
   * A command that becomes another one in its namespaces, except the PID namespace: `--pid` has it
   * start a child there.
   */
  get enter(): readonly string[] {
    const namespaces = ['--user', '--net', '--mount'];
    return ['nsenter', '--target', `${this.pid}`, ...namespaces, '--preserve-credentials'];
  }

  /** Kills its first process, and so all of its processes. */
  async kill(): Promise<void> {
    if (exists(this.pid)) process.kill(this.pid, 'SIGKILL');
    await until(
      () => this.shell.process.exitCode !== null || this.shell.process.signalCode !== null,
      'the container did not end',
    );
  }
}
