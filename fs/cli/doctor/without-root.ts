/** The checks of `eventfs doctor` for users who mount without root. */
import { hindrance, unmountHindrance } from '../../client/mounting/fusermount-refusals.js';
import { findFusermount, permitsAllowOther } from '../../client/mounting/fusermount.js';
import type { Finding } from './finding.js';

/** The words of a finding about fusermount3. */
interface FusermountWords {
  /** The finding if the machine has no such program. */
  readonly missing: { readonly what: string; readonly mend: string };
  /** Returns what the program at a path can do. */
  readonly works: (path: string) => string;
}

/**
 * Checks whether fusermount3 could mount for this process.
 *
 * @param failure the level of a finding that it could not
 */
export function fusermountFinding(
  failure: 'warn' | 'fail',
  { missing, works }: FusermountWords,
): Finding {
  const program = findFusermount();
  if (program === undefined) return { level: failure, ...missing };
  const obstacle = hindrance(program);
  if (obstacle !== undefined) return { level: failure, ...obstacle };
  const lasting = unmountHindrance();
  if (lasting !== undefined) return { level: 'warn', ...lasting };
  return { level: 'ok', what: works(program.path) };
}

/** Checks whether an ordinary user may mount. Root needs no fusermount3. */
export function checkFusermount(): Finding[] {
  if (process.geteuid?.() === 0) return [];
  return [
    fusermountFinding('warn', {
      missing: {
        what: 'fusermount3 is missing: only root can mount',
        mend: 'ask the administrator to install fuse3, or mount in unshare -Urm',
      },
      works: (path) => `you may mount on a directory of your own, by ${path}; ${sharing()}`,
    }),
  ];
}

function sharing(): string {
  return permitsAllowOther() === true
    ? '/etc/fuse.conf lets other users use it'
    : 'other users, root included, will not see into it (no user_allow_other in /etc/fuse.conf)';
}

/** Explains why a mount keeps other users out. */
export function checkSharing(path: string): Finding {
  const what = `${path}: mounted without allow_other: the kernel keeps out other users, root included`;
  if (permitsAllowOther() === true)
    return { level: 'warn', what, mend: `eventfs umount ${path}; eventfs mount ${path}` };
  return {
    level: 'ok',
    what,
    mend: 'ask the administrator: add user_allow_other to /etc/fuse.conf; then mount again',
  };
}
