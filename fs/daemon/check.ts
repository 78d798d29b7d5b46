/** Checks whether a daemon could start with its options, for `eventfs mount --check`. */
import { openDriver } from '../drivers/open-driver.js';
import { type OutletCheck, checkOutlets } from '../outlets/check-outlets.js';
import { UserError } from '../shared/errors.js';
import { NO_TRACE } from '../shared/log/trace.js';
import { Daemon, readMaskOf } from './daemon.js';
import type { DaemonOptions } from './options.js';

/**
 * Checks the sticky directories, the driver and the outlets of a daemon. It does not mount.
 *
 * @returns the parts that were checked, each with the error of its start or null
 */
export async function checkDaemon(options: DaemonOptions): Promise<OutletCheck[]> {
  const { driver, outlets, sources, path, sticky, config, logger } = options;
  const checks = checkOutlets(outlets, readMaskOf(sources), path, config.filter, logger);
  let daemon: Daemon | null = null;
  const names = sticky.map(({ name }) => name).join(', ');
  try {
    daemon = new Daemon(options);
    if (names !== '') checks.push({ option: `--sticky ${names}`, error: null });
    const { tree } = daemon;
    const host = { tree, logger, trace: NO_TRACE, noteRequest: () => undefined };
    if (driver === 'fuse-native') await openDriver(driver, host, options);
    checks.push({ option: `--driver ${driver}`, error: null });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    checks.push({ option: daemon === null ? '--sticky' : `--driver ${driver}`, error });
  } finally {
    daemon?.stop();
  }
  return checks;
}
