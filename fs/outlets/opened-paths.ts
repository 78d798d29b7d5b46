/** The paths of outlets that a daemon has opened while another one served. */
export interface OpenedPaths {
  /** @throws UsageError if a path is below the mount */
  refuseBelow(): void;
  /**
   * Returns the descriptor of the fifodir. The caller closes it.
   *
   * @throws UserError if it could not be opened
   */
  takeFifodir(): number;
}
