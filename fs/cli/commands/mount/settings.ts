/** Applies settings to a running daemon: those of the file after SIGHUP, and its predecessor's. */
import type { Daemon } from '../../../daemon/daemon.js';
import type { Holder } from '../../../guard/holder.js';
import type { LineLogger, Logger } from '../../../shared/log/logger.js';
import type { Trace } from '../../../shared/log/trace.js';
import type { Configuration } from './configuration.js';
import { keepSettings } from './kept-configuration.js';
import { type SaidOptions, said } from './log-options.js';

/** The settings of a daemon, and the parts that they change. */
export interface Settings {
  readonly configuration: Configuration;
  readonly daemon: Daemon;
  readonly log: LineLogger;
  readonly logger: Logger;
  readonly trace: Trace;
  readonly holder: Holder | undefined;
}

/**
 * Applies the settings of the last daemon, and those of a file that has changed since.
 *
 * @param kept the text that SIGHUP had applied; undefined if there was no SIGHUP
 */
export function goOn(settings: Settings, kept: string | null | undefined): void {
  const { configuration } = settings;
  if (kept !== undefined) {
    configuration.goOn(kept);
    apply(settings);
  }
  if (configuration.hasChanged) reload(settings);
}

/** Reads the file again, and applies it. */
export function reload(settings: Settings): void {
  const { configuration, logger, holder } = settings;
  if (!configuration.reload(logger)) return;
  apply(settings);
  keepSettings(holder, configuration);
}

function apply({ configuration, daemon, log, trace }: Settings): void {
  const options = configuration.options as unknown as SaidOptions;
  log.configure(said(options));
  trace.set(options.debug ?? []);
  daemon.configure(configuration.liveSettings);
}
