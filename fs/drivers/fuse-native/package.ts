/** Loads the npm package fuse-native and its addon, and says what eventfs wants of libfuse. */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type FuseClass from 'fuse-native';
import type loadAddonOf from 'node-gyp-build';

/** The addon of fuse-native, as far as eventfs uses it. */
interface Addon {
  readonly sizeof_fuse_thread_t: number;
  readonly op_read: number;
  readonly op_rmdir: number;
  fuse_native_mount(
    path: string,
    options: string,
    thread: Uint8Array,
    ...rest: readonly unknown[]
  ): void;
  /** Lets the event loop end. It does not unmount. */
  fuse_native_unmount(path: string, thread: Uint8Array): void;
}

// Not by `import`: without libfuse it fails twice, and one of the errors can't be caught.
const require = createRequire(import.meta.url);
/** The class of fuse-native. */
export const Fuse = require('fuse-native') as typeof FuseClass;
const loadAddon = require('node-gyp-build') as typeof loadAddonOf;
/** The addon of fuse-native. */
export const addon = loadAddon(dirname(require.resolve('fuse-native'))) as Addon;

/**
 * The signal that libfuse sends to a thread whose caller was interrupted. It is a real-time signal
 * that no other part of the daemon uses.
 */
export const INTERRUPT_SIGNAL = 40;

/** The longest path that the addon takes, in bytes. It cuts longer paths off. */
export const LONGEST_PATH_BYTES = 1023;

/** The options of libfuse, without allow_other. */
const OPTIONS = [
  'fsname=eventfs',
  'subtype=eventfs',
  'default_permissions',
  'noexec',
  'use_ino',
  // The kernel caches nothing (docs/design.md, section 4)
  'entry_timeout=0',
  'attr_timeout=0',
  'ac_attr_timeout=0',
  'negative_timeout=0',
  'direct_io',
  'max_readahead=0',
  'atomic_o_trunc',
  'big_writes',
  // Without these a killed reader would not end before the next event
  'intr',
  `intr_signal=${INTERRUPT_SIGNAL}`,
];

/**
 * Returns the options of libfuse.
 * @param isShared whether other users can use the mount
 */
export function libfuseOptions(isShared: boolean): string {
  return `-o${[...OPTIONS, ...(isShared ? ['allow_other'] : [])].join(',')}`;
}

/** The operations that eventfs serves, by fuse-native's names. */
export const OPERATIONS = [
  'statfs',
  'fgetattr',
  'getattr',
  'readdir',
  'truncate',
  'ftruncate',
  'utimens',
  'readlink',
  'chown',
  'chmod',
  'mknod',
  'setxattr',
  'getxattr',
  'listxattr',
  'removexattr',
  'open',
  'read',
  'write',
  'fsync',
  'fsyncdir',
  'release',
  'create',
  'unlink',
  'rename',
  'link',
  'symlink',
  'mkdir',
  'rmdir',
] as const;
