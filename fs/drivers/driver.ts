/** What a driver is: how the tree reaches the kernel. */

export interface Driver {
  /**
   * Mounts and serves; resolves once clients can come.
   * @param path where to mount, as mountinfo would show it
   * @param onEnd called when the connection is over though `unmount` was not called: it was unmounted from outside
   * @throws UserError
   */
  mount(path: string, onEnd: () => void): Promise<void>;
  /** Ends every blocked read with the end of the file, unmounts and lets go. */
  unmount(): void;
}

export const DRIVER_NAMES = ['devfuse', 'fuse-native'] as const;
export type DriverName = (typeof DRIVER_NAMES)[number];

/** How requests get from the kernel to devfuse. */
export const TRANSPORT_NAMES = ['auto', 'read', 'io-uring'] as const;
export type TransportName = (typeof TRANSPORT_NAMES)[number];

/** What devfuse can be told; fuse-native has no use for it. */
export interface DevFuseOptions {
  /** How many microseconds to look for the next request before sleeping; 0: not at all. */
  readonly busyPollUs: number;
  /** How requests come. */
  readonly transport: TransportName;
  /** What mount tables show as the source (default eventfs). */
  readonly fsname?: string;
}
