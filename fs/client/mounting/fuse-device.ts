/** The remedies for a /dev/fuse that can't be opened. */
import { readFileSync } from 'node:fs';

/** Tells whether the kernel has FUSE, built in or loaded. */
export function kernelHasFuse(): boolean {
  return /^(nodev)?\tfuse$/m.test(readFileSync('/proc/filesystems', 'latin1'));
}

/**
 * Returns a command for root.
 *
 * @param code the errno's name of open(2)
 */
export function fuseDeviceRemedy(code: string): string {
  if (!kernelHasFuse()) return 'modprobe fuse';
  if (code === 'ENOENT')
    return 'mknod -m 666 /dev/fuse c 10 229; for a container use --device /dev/fuse';
  return 'chmod 666 /dev/fuse; for a container also allow the device (c 10:229 rwm)';
}
