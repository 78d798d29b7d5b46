/** `eventfs mount`: serves in the foreground until a signal stops it. */
import { ReadableWatch, exitNow } from '#native';
import type { Command } from 'commander';
import { pingWatchdog, tellReady, tellSystemd } from '../../../daemon/readiness.js';
import type { Daemon } from '../../../daemon/daemon.js';
import type { DaemonOptions } from '../../../daemon/options.js';
import type { Guardian } from '../../../guard/guardian.js';
import { UsageError, UserError, isSystemError } from '../../../shared/errors.js';
import { LineLogger, type Logger, SILENT } from '../../../shared/log/logger.js';
import { wrongProc } from '../../../shared/kernel/namespaces.js';
import { rateLimited } from '../../../shared/log/rate-limit.js';
import { Trace } from '../../../shared/log/trace.js';
import { explain } from '../../terminal/explain.js';
import { requireDescriptors } from '../../inherited-descriptors.js';
import type { Configuration } from './configuration.js';
import {
  type HeldMount,
  allowReplacement,
  becomeGuardian,
  failTakeover,
  holderOf,
  isReplacement,
  ownGuardian,
} from './guard.js';
import { refuseGuardConflicts, wantsHolder } from './guard-options.js';
import {
  configurationOf,
  keepConfiguration,
  mountPointOf,
  settingsAfter,
  settingsOfDead,
  takeSettings,
} from './kept-configuration.js';
import { type LogArguments, loggerOptions } from './log-options.js';
import type { MountOptions } from './mount-options.js';
import { RequestsSwitch } from './requests-switch.js';
import { Renewal } from './renewal.js';
import { DEFAULT_SOURCES } from './source-and-outlet-options.js';

const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/**
 * Mounts, and serves until SIGTERM, SIGINT or an unmount from outside. Resolves once clients can
 * use the mount. With `--log-json` it logs the reason of a failure as JSON, and sets the exit code.
 *
 * @param directory the directory to mount on
 * @param command `eventfs mount` with its options parsed
 * @throws UserError if the options, the configuration or the mount fail
 */
export async function mount(directory: string, command: Command): Promise<void> {
  const log = new LineLogger('mount', loggerOptions(command.opts<LogArguments>()));
  try {
    const syslog = await syslogOf(command.opts<MountOptions>());
    log.hold(); // the guardian may send messages at once
    const guardian = ownGuardian(rateLimited(log));
    // The program that has started the first daemon no longer reads standard error.
    if (syslog !== undefined && isReplacement(guardian)) log.sendTo(syslog.toSyslog);
    try {
      const configuration = await configurationOf(command, guardian);
      log.configure(loggerOptions(configuration.options));
      await serve(directory, configuration, log, guardian);
    } catch (error) {
      if (guardian?.takesOver === true) {
        log.release();
        failTakeover(error, guardian, log);
      }
      guardian?.release(); // this process would not end while the socket is open
      throw error;
    }
  } catch (error) {
    log.release();
    if (!log.isJson) throw error;
    process.exitCode = explain(error, 'mount', (message) => log.error(message));
  }
}

/** Loads the way to syslog, which not every mount needs. */
async function syslogOf({
  syslog,
}: MountOptions): Promise<typeof import('../../terminal/syslog.js') | undefined> {
  return syslog === true ? import('../../terminal/syslog.js') : undefined;
}

/** Returns the daemon's options for those of the command and the configuration. */
export function daemonOptions(
  path: string,
  options: MountOptions,
  { liveSettings }: Configuration,
  logger: Logger,
  trace?: Trace,
): DaemonOptions {
  const { driver, sticky, busyPoll, requestBound, fsname, source } = options;
  const hasNoSource = options.fleet === true && source === DEFAULT_SOURCES;
  return {
    path,
    sources: hasNoSource ? [] : source.filter((name) => name !== 'none'),
    outlets: options,
    driver,
    // the kernel can't give a ring to the next daemon
    transport: wantsHolder(options) ? 'read' : options.transport,
    sticky,
    busyPollUs: busyPoll,
    requestBoundMs: requestBound * 1000,
    linePrefix: options.logJson === true || options.syslog === true ? '' : 'eventfs: mount: ',
    fsname,
    ...liveSettings,
    ...(options.publisher !== undefined && { publisher: options.publisher }),
    logger,
    ...(trace !== undefined && { trace }),
  };
}

async function serve(
  directory: string,
  configuration: Configuration,
  log: LineLogger,
  guardian: Guardian | undefined,
): Promise<void> {
  const options = configuration.options;
  const path = mountPointOf(directory, guardian);
  const wrong = wrongProc();
  if (wrong !== null) throw new UserError(`/proc: ${wrong} (try mount -t proc proc /proc)`);
  refuseGuardConflicts(options);
  if (guardian !== undefined && options.guard !== true)
    throw new UsageError(
      'guard: the mount has a guardian, and the configuration no longer asks for one (eventfs umount, and mount again)',
    );
  if (guardian === undefined) {
    requireDescriptors(options); // a later daemon finds them closed
    await becomeGuardian(path, options);
  }
  const logger = rateLimited(log);
  const standby = (): DaemonOptions => daemonOptions(path, options, configuration, SILENT);
  const held = await holderOf(path, options, guardian, standby, logger);
  const { holder } = held;
  try {
    await run(path, configuration, log, logger, held);
  } catch (error) {
    if (holder?.takesOver === true) failTakeover(error, holder, log);
    throw error;
  }
}

/**
 * Makes the daemon. Its code is loaded here, because a guardian does not need it. With a holder it
 * loads the driver too, before the owners are restored: they may leave few descriptors.
 *
 * @throws UserError for options that it refuses
 */
async function newDaemon(options: DaemonOptions): Promise<Daemon> {
  const loaded = await import('../../../daemon/daemon.js');
  if (options.holder !== undefined) await loaded.loadDriver();
  return new loaded.Daemon(options);
}

/** Runs the daemon. Resolves once clients can use the mount. */
async function run(
  path: string,
  configuration: Configuration,
  log: LineLogger,
  logger: Logger,
  held: HeldMount,
): Promise<void> {
  const { holder } = held;
  const kept = takeSettings(holder);
  const options = configuration.options;
  const trace = traceOf(options, log);
  const syslog = await syslogOf(options);
  const daemon = await newDaemon({
    ...daemonOptions(path, options, configuration, logger, trace),
    ...settingsOfDead(holder, configuration, kept),
    ...held,
  });
  let isUp = false;
  let isToStop = false;
  let isStopping = false;
  const stop = (): void => {
    if (isStopping) return; // the connection's end causes a stop, and a stop causes that end
    isStopping = true;
    logger.debug(`${path}: the daemon stops`);
    tellSystemd('STOPPING=1');
    daemon.stop();
    starter?.close();
    log.close();
  };
  // A signal that comes while the daemon starts takes effect once it serves. The handler stays
  // until the process has ended: else a second signal would kill the daemon while it stops, and
  // leave the mount behind.
  const onSignal = (): void => {
    isToStop = true;
    if (isUp) stop();
  };
  for (const signal of STOP_SIGNALS) process.on(signal, onSignal);
  const starter = options.stopFd === undefined ? null : watchStarter(options.stopFd, onSignal);
  process.once('exit', exitNow); // Node's own exit removes the handler first
  // A terminal that closes sends SIGHUP too: the daemon goes on.
  const requests = new RequestsSwitch(trace, logger, holder);
  const renewal = new Renewal({ configuration, daemon, log, logger, trace, requests, holder });
  process.on('SIGHUP', () => renewal.reload());
  try {
    await daemon.start(stop);
    isUp = true;
    // Clients that block on the mount need a living daemon, even after an unexpected error.
    process.on('uncaughtException', (error) => logger.error('unexpected error', error));
    allowReplacement(holder, daemon, log);
    const isAwaited = !isToStop && !isReplacement(holder); // the first daemon has written it
    if (options.readyFd !== undefined && isAwaited) tellReady(options.readyFd);
    if (syslog !== undefined) log.sendTo(syslog.toSyslog);
  } catch (error) {
    if (holder?.takesOver !== true) daemon.stop(); // the next attempt needs the mount
    starter?.close();
    throw error;
  }
  if (isToStop) return stop();
  keepConfiguration(holder, configuration, path);
  if (isReplacement(holder)) renewal.goOn(settingsAfter(holder, kept));
  logger.debug(`${path}: the driver ${options.driver} serves it`);
  tellSystemd('READY=1');
  pingWatchdog();
  if (options.hint === true) console.log(hint(path));
}

function traceOf({ debug = [] }: MountOptions, log: LineLogger): Trace {
  const trace = new Trace((kind, text, fields) => log.trace(kind, text, fields));
  trace.set(debug);
  return trace;
}

/**
 * Stops the daemon once a pipe of the process that started it has no writer any more, or has data.
 *
 * @throws UserError if the descriptor can't be watched
 */
function watchStarter(fd: number, stop: () => void): ReadableWatch {
  try {
    const watch = new ReadableWatch(fd, () => {
      watch.close();
      stop();
    });
    return watch;
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw UserError.from(error, `--stop-fd ${fd}`, {
      EBADF: 'start the daemon with this descriptor open',
      EPERM: 'use a pipe or a socket',
    });
  }
}

function hint(path: string): string {
  return [
    `eventfs: serving ${path} until Ctrl-C. In another shell, try:`,
    `  cat ${path}/stream &  echo add > /sys/class/mem/null/uevent    # prints each event as it comes`,
    `  ls ${path}                                     # ls does not list ${path}/stream; open it by name`,
    `  mkdir ${path}/$$ && ls -la ${path}/$$                           # belongs to that shell, and ends with it`,
    `  mkdir ${path}/$$.foo                             # the same with a name; ${path}/foo ends with mkdir(1), at once`,
  ].join('\n');
}
