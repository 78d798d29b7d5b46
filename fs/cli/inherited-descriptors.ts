/** Finds the descriptors that a program that replaces this process shall have. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { FailedCallError, errnoText, Errno } from '../shared/errors.js';
import { O_ACCMODE } from '../shared/open-flags.js';

/** The last of the three standard descriptors: standard error. */
const LAST_STANDARD = 2;

/**
 * Finds the descriptors that this process inherited. Node sets close-on-exec on all of them. Node
 * also opens descriptors of its own: anonymous inodes of event loops, and pipes that have both ends
 * in this process.
 */
export function inheritedDescriptors(): number[] {
  const found = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const flags = /^flags:\t(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))![1];
      return [
        {
          fd: Number(fd),
          target: readlinkSync(`/proc/self/fd/${fd}`),
          access: parseInt(flags, 8) & O_ACCMODE,
        },
      ];
    } catch {
      return []; // the descriptor of the listing itself is closed by now
    }
  });
  const isOurs = ({ target, access }: (typeof found)[number]): boolean =>
    target.startsWith('anon_inode:') ||
    (target.startsWith('pipe:') &&
      found.some((other) => other.target === target && other.access !== access));
  return found
    .filter((opened) => opened.fd <= LAST_STANDARD || !isOurs(opened))
    .map(({ fd }) => fd);
}

/**
 * Requires that the descriptors are open that the options of `eventfs mount` name. One that Node
 * has opened for itself is none of them: a write to it would break Node.
 *
 * @throws UserError with the option whose descriptor is not open
 */
export function requireDescriptors({
  readyFd,
  stopFd,
}: {
  readonly readyFd?: number;
  readonly stopFd?: number;
}): void {
  if (readyFd === undefined && stopFd === undefined) return;
  const open = inheritedDescriptors();
  for (const [option, fd] of Object.entries({ '--ready-fd': readyFd, '--stop-fd': stopFd }))
    if (fd !== undefined && !open.includes(fd))
      throw new FailedCallError(
        `${option} ${fd}: ${errnoText(Errno.EBADF)} (start the daemon with this descriptor open)`,
      );
}
