/** Hints for a write to `publish` that the daemon refuses, by errno name. */
export const PUBLISH_HINTS = {
  EACCES: 'you may not write to publish: try as root, or ask root to chmod it',
  EINVAL:
    "the event is malformed: write ACTION@/DEVPATH, then KEY=VALUE lines; /eventfs is the daemon's devpath",
  EFBIG: 'an event has at most 64 KiB, and ulimit -f bounds a write too',
};
