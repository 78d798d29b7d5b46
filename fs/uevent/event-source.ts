/**
 * The source of an event: the way by which it came to the daemon. The daemon alone sets it. Filters
 * match it as SOURCE, and the attribute `user.eventfs.source` of the event's file shows it.
 */

/** The extended attribute (xattr(7)) of an event's file. */
export const SOURCE_ATTRIBUTE = 'user.eventfs.source';

/**
 * The sources of an event without a user. Any other number is the uid of the user that opened
 * `publish`. A number, so that no event needs a text for it.
 */
export const SourceId = {
  kernel: -1,
  udev: -2,
  /** The daemon, for an overflow record. */
  eventfs: -3,
  /** A program that wrote to `publish`, behind a driver that does not know the caller. */
  unknown: -4,
} as const;

/** Returns the source as filters match it: `kernel`, `udev`, `eventfs` or `publish:UID`. */
export function sourceText(id: number): string {
  switch (id) {
    case SourceId.kernel:
      return 'kernel';
    case SourceId.udev:
      return 'udev';
    case SourceId.eventfs:
      return 'eventfs';
    case SourceId.unknown:
      return 'publish:unknown';
    default:
      return `publish:${id}`;
  }
}
