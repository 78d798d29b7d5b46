/** Opens a driver by its name. It loads only the driver that is asked for. */
import { UserError } from '../shared/errors.js';
import type { DevFuseOptions, Driver, DriverHost, DriverName } from './driver.js';

/**
 * Loads a driver and connects it to the tree. It does not mount yet.
 * @param options for devfuse only
 * @throws UserError if fuse-native can't be loaded
 */
export async function openDriver(
  name: DriverName,
  host: DriverHost,
  options: DevFuseOptions,
): Promise<Driver> {
  if (name === 'devfuse') return new (await import('./devfuse/devfuse.js')).DevFuse(host, options);
  try {
    return new (await import('./fuse-native/fuse-native.js')).FuseNative(host);
  } catch (error) {
    throw cannotLoad(error);
  }
}

/**
 * Returns an error with the reason that dlopen(3) gives, in one line, and the package to install.
 */
function cannotLoad(error: unknown): UserError {
  if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') {
    return new UserError(
      '--driver fuse-native: the npm package fuse-native is not installed (it is optional: run npm ci --include=optional, or use --driver devfuse)',
    );
  }
  const [reason] = (error instanceof Error ? error.message : String(error)).split('\n');
  const hint = reason.includes('libfuse.so.2')
    ? 'install libfuse2 on Debian, libfuse2t64 on newer ones, fuse on Alpine'
    : 'run npm ci; the package is compiled for x86-64 and glibc';
  return new UserError(`--driver fuse-native: ${reason} (${hint}; or use --driver devfuse)`);
}
