/** What to do if the daemon refuses a write to `publish`, by errno name. */
export const PUBLISH_HINTS = {
  EACCES: 'you may not write to publish: try as root, or ask root to chmod it',
  EINVAL: 'the event is malformed: write ACTION@/DEVPATH, then KEY=VALUE lines',
  EFBIG: 'an event has at most 64 KiB',
};
