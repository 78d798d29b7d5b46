/** What we use of the npm package fuse-native 2.2.6, which has no types: its class is made to be extended in parts. */
declare module 'fuse-native' {
  /** Answers one operation: a result or a negative errno, and what goes with it. */
  export type Signal = (result: number, ...values: unknown[]) => void;

  export default class Fuse {
    constructor(
      path: string,
      operations: Readonly<Record<string, true>>,
      options: { timeout: false },
    );
    readonly mnt: string;
    /** By operation number; called with the memory of the libfuse thread that waits, the number, and the arguments. */
    readonly _handlers: ((thread: Uint8Array, ...rest: unknown[]) => void)[];
    /** What fuse_native_mount works on. */
    _thread: Uint8Array;
    /** Called when the kernel has begun to talk. */
    _openCallback: ((error: Error | null) => void) | null;
    readonly _malloc: (size: number) => Uint8Array;
    _getImplementedArray(): Uint32Array;
    /** What libfuse is told, as `-oname,name=value`. */
    _fuseOptions(): string;
  }
}

declare module 'node-gyp-build' {
  /** Loads the addon of a package. */
  export default function load(directory: string): unknown;
}
