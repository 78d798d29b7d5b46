/** The caller of a request. */

/** The caller of a request, from fuse_in_header. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
  /** The id of the calling *thread* in the daemon's PID namespace; 0 if it has none there. */
  readonly pid: number;
}
