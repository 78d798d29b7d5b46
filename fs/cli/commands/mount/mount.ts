/** `eventfs mount`: serve in the foreground until told to stop. */
import { exitNow } from '#native';
import type { Command } from 'commander';
import { type Complain, sparing } from '../../../shared/complaints.js';
import { mountPath } from '../../../client/probe.js';
import { Daemon } from '../../../daemon/daemon.js';
import { tellReady, tellSystemd } from '../../../daemon/readiness.js';
import type { DriverName, OutletOptions, SourceName, StickyDirectory, TransportName } from '../../../daemon/options.js';
import { UserError } from '../../../shared/errors.js';
import { seesOwnNamespace } from '../../../shared/namespaces.js';
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
  if (!seesOwnNamespace()) throw new UserError('/proc: it shows another PID namespace than ours (try mount -t proc proc /proc)');
  let say: Complain = (message) => console.error(`eventfs: mount: ${message}`);
  const complain = sparing((message) => say(message));
  const { driver, transport, sticky, busyPoll, fsname } = options;
  const sources = options.source.filter((name) => name !== 'none');
  const { config } = configuration;
  const daemon = new Daemon({ path, sources, outlets: options, driver, transport, sticky, busyPollUs: busyPoll, fsname, config, listsLinks: options.listLinks === true, complain });
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
    daemon.configure({ config: configuration.config, listsLinks: configuration.options.listLinks === true });
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

function hint(path: string): string {
  return [
    `eventfs: serving ${path} until Ctrl-C. In another shell, try:`,
    `  cat ${path}/stream &  echo add > /sys/class/mem/null/uevent    # an event, as it comes`,
    `  ls ${path}                                     # ${path}/stream is found by its name; ls does not show it`,
    `  mkdir ${path}/$$ && ls -la ${path}/$$                           # yours, as long as that shell lives`,
  ].join('\n');
}
