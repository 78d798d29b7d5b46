/** `eventfs mount`: serve in the foreground until told to stop. */
import { closeSync, writeSync } from 'node:fs';
import { exitNow, sendDatagram } from '#native';
import type { Command } from 'commander';
import { type Complain, sparing } from '../../../shared/complaints.js';
import { Daemon, type SourceName, type StickyDirectory } from '../../../daemon/daemon.js';
import type { DriverName } from '../../../drivers/driver.js';
import { mountPath } from '../../../drivers/common/mount-point.js';
import type { TransportName } from '../../../drivers/devfuse/io-uring/transport.js';
import { Refusal, isSystemError } from '../../../shared/errors.js';
import type { OutletOptions } from '../../../outlets/open-outlets.js';
import { seesOwnNamespace } from '../../../owners/process.js';
import { Configuration } from './configuration.js';
import { toSyslog } from '../../terminal/syslog.js';

export interface MountOptions extends OutletOptions {
  readonly source: readonly (SourceName | 'none')[];
  readonly driver: DriverName;
  readonly transport: TransportName;
  readonly readyFd?: number;
  readonly sticky: readonly StickyDirectory[];
  readonly busyPoll: number;
  readonly listLinks?: boolean;
  readonly fsname: string;
  readonly syslog?: boolean;
  readonly hint?: boolean;
}

const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const;

export async function mount(directory: string, command: Command): Promise<void> {
  const configuration = new Configuration(command);
  const options = configuration.options as unknown as MountOptions;
  const path = mountPath(directory);
  if (!seesOwnNamespace()) throw new Refusal('/proc: it shows another PID namespace than ours (try mount -t proc proc /proc)');
  let say: Complain = (message) => console.error(`eventfs: mount: ${message}`);
  const complain = sparing((message) => say(message));
  const { driver, transport, sticky, busyPoll, fsname } = options;
  const sources = options.source.filter((name) => name !== 'none');
  const { config } = configuration;
  const daemon = new Daemon({ path, sources, outlets: options, driver, transport, sticky, busyPollUs: busyPoll, fsname, config, complain });
  daemon.tree.listsLinks = options.listLinks === true;
  let isUp = false;
  let isToStop = false;
  let isStopping = false;
  const stop = (): void => {
    if (isStopping) return; // the connection's end is a reason to stop, and comes of it too
    isStopping = true;
    tellSystemd('STOPPING=1');
    daemon.stop();
  };
  // A signal while the daemon starts is obeyed once it is up, and the handler stays until the process has ended: else a second
  // signal would kill it while it stops, and leave the mount behind.
  const onSignal = (): void => {
    isToStop = true;
    if (isUp) stop();
  };
  for (const signal of STOP_SIGNALS) process.on(signal, onSignal);
  process.once('exit', exitNow); // Node's own end takes the handler away first
  // Also a terminal that closes: that is no reason to end.
  process.on('SIGHUP', () => {
    if (!configuration.reload(complain)) return;
    daemon.configure(configuration.config);
    daemon.tree.listsLinks = configuration.options.listLinks === true;
  });
  try {
    await daemon.start(stop);
    isUp = true;
    // Whoever blocks on the mount needs the daemon to live, whatever it has stumbled over.
    process.on('uncaughtException', (error) => complain(`unexpected: ${error.stack ?? error.message}`));
    if (options.readyFd !== undefined && !isToStop) tellReady(options.readyFd);
    if (options.syslog === true) say = toSyslog;
  } catch (error) {
    daemon.stop();
    throw error;
  }
  if (isToStop) return stop();
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
    `  ls ${path}                                     # ${path}/stream is found by its name; ls does not show it`,
    `  mkdir ${path}/$$ && ls -la ${path}/$$                           # yours, as long as that shell lives`,
  ].join('\n');
}
