/**
 * Types of the npm package fuse-native 2.2.6, which has none, as far as eventfs uses it: a subclass
 * replaces parts of its class.
 */
declare module 'fuse-native' {
  /**
   * Answers one operation with a result or a negative errno, and the operation's further values.
   */
  export type Signal = (result: number, ...values: unknown[]) => void;

  /** One mount by libfuse. */
  export default class Fuse {
    constructor(
      path: string,
      operations: Readonly<Record<string, true>>,
      options: { timeout: false },
    );
    /** The mount point. */
    readonly mnt: string;
    /**
     * The handlers, by operation number. The addon calls each with the memory of the libfuse thread
     * that waits, the number, and the arguments.
     */
    readonly _handlers: ((thread: Uint8Array, ...rest: unknown[]) => void)[];
    /** The memory that fuse_native_mount works on. */
    _thread: Uint8Array;
    /** Called after INIT. */
    _openCallback: ((error: Error | null) => void) | null;
    /** Allocates memory for the addon. */
    readonly _malloc: (size: number) => Uint8Array;
    _getImplementedArray(): Uint32Array;
    /** Returns the options of libfuse, as `-oname,name=value`. */
    _fuseOptions(): string;
  }
}

declare module 'node-gyp-build' {
  /** Loads the addon of the package in `directory`. */
  export default function load(directory: string): unknown;
}
