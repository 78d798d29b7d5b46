/** `eventfs mount`: serve in the foreground until told to stop. */
import { closeSync, writeSync } from 'node:fs';
import { sendDatagram } from '#native';
import { Daemon } from '../daemon.js';
import { mountPath } from '../drivers/mount-point.js';
import { Refusal, isSystemError } from '../errno.js';

export interface MountOptions {
  readonly source: 'kernel' | 'none';
  readonly readyFd?: number;
  readonly hint?: boolean;
}

export async function mount(directory: string, options: MountOptions): Promise<void> {
  const path = mountPath(directory);
  const complain = (message: string): void => console.error(`eventfs: mount: ${message}`);
  const daemon = new Daemon({ path, source: options.source, complain });
  const stop = (): void => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.removeListener(signal, stop);
    tellSystemd('STOPPING=1');
    daemon.stop();
  };
  try {
    await daemon.start(stop);
  } catch (error) {
    daemon.stop();
    throw error;
  }
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('SIGHUP', () => undefined); // a terminal that closes is no reason to end; there is nothing to read again yet
  if (options.readyFd !== undefined) tellReady(options.readyFd);
  tellSystemd('READY=1');
  if (options.hint === true) console.log(hint(path));
}

/** s6's readiness protocol: a newline, and the end. */
function tellReady(fd: number): void {
  try {
    writeSync(fd, '\n');
    closeSync(fd);
  } catch (error) {
    if (isSystemError(error)) throw Refusal.from(error, `--ready-fd ${fd}`, { EBADF: 'that descriptor is not open' });
    throw error;
  }
}

/** sd_notify(3). */
function tellSystemd(state: string): void {
  const socket = process.env.NOTIFY_SOCKET;
  if (socket === undefined || socket === '') return;
  try {
    sendDatagram(socket, state);
  } catch {
    // Whoever set it does not listen any more: that is no reason not to serve.
  }
}

function hint(path: string): string {
  return [
    `eventfs: serving ${path} until Ctrl-C. In another shell, try:`,
    `  cat ${path}/stream &  echo add > /sys/class/mem/null/uevent    # an event, as it comes`,
    `  mkdir ${path}/$$ && ls -la ${path}/$$                           # yours, as long as that shell lives`,
  ].join('\n');
}
