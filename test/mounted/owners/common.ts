/** Shared by the tests of process directories: a daemon, an observer, shells. */
import { Actor, untilAlone } from '../../support/clients/actor.js';
import { type Daemon, Shell, killDaemons, startDaemon } from '../../support/mount/daemon.js';
import { descriptors } from '../../support/processes.js';
import { type Suite, suite } from '../../support/runner/suite.js';

export const SIGKILL = 9;
export const SIGSTOP = 19;
export const SIGCONT = 18;
/** Runs a command as the first process of a new PID namespace, until unshare(1) is killed. */
export const IN_PID_NAMESPACE = ['unshare', '-pf', '--kill-child'];
/** Runs an actor as the second process of a namespace. */
export const AS_SECOND = ['sh', '-c', '"$0"; exit'];
export const IN_USER_NAMESPACE = ['unshare', '-Upf', '--kill-child'];

export let daemon: Daemon;
export let mount: string;
/** Makes the system calls that would block the test process, or that Node lacks. */
export let observer: Actor;

/** Makes a suite with a daemon and an observer. */
export function processDirectories(): Suite {
  const directory = suite('a process directory');
  directory.before(async () => {
    daemon = await startDaemon();
    mount = daemon.path;
    observer = new Actor();
  });
  directory.after(async () => {
    await Actor.endAll();
    await daemon.stop();
    await killDaemons();
    await untilAlone();
  });
  return directory;
}

/** @returns the number of pidfds that the daemon has open */
export const pidfds = (): number => descriptors(daemon.pid, /pidfd/).length;

/** Runs `body` with a shell, and kills the shell. */
export async function withShell(
  body: (shell: Shell) => Promise<void>,
  command?: readonly string[],
): Promise<void> {
  const shell = new Shell(command);
  try {
    await body(shell);
  } finally {
    if (shell.process.exitCode === null && shell.process.signalCode === null) await shell.kill();
  }
}
