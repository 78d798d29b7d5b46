/** Maps the memory of a state. It needs little code: a daemon maps it before it loads the rest. */
import { mapPrivate, mapShared, punchHole, reserveRange } from '#native';
import { fstatSync } from 'node:fs';
import { isSystemError } from '../shared/errors.js';
import type { StateMemory } from '../state/layout.js';

/** The name under which the keeper has the memory. */
export const STATE = 'state';

/** A state in the memory of this process. */
export interface MappedState {
  /** The file that is mapped: its device and its inode number. */
  readonly file: string;
  readonly bytes: Uint8Array;
  /** Whether writes stay in this process. */
  readonly isCopy: boolean;
}

/**
 * Maps a state for reading and writing. V8 takes the memory for garbage of 1 GiB, and collects: so
 * a daemon calls this while its heap is small.
 */
export function mapState(fd: number): MappedState {
  const { size } = fstatSync(fd);
  return { file: fileOf(fd), bytes: mapShared(fd, 0, size), isCopy: false };
}

/** Maps a state for reading. Writes do not change the state. */
export function copyState(fd: number): MappedState {
  const { size } = fstatSync(fd);
  return { file: fileOf(fd), bytes: mapPrivate(fd, 0, size), isCopy: true };
}

/**
 * Returns the memory of a state.
 *
 * @param fd the state's file
 * @param mapped the file's memory, if it is mapped already
 */
export function memoryOf(fd: number, mapped?: MappedState): StateMemory {
  const { bytes, isCopy } = mapped?.file === fileOf(fd) ? mapped : mapState(fd);
  if (isCopy) return { bytes, reserve: () => true, discard: () => undefined };
  return {
    bytes,
    reserve(start, length) {
      try {
        reserveRange(fd, start, length);
        return true;
      } catch (error) {
        if (isSystemError(error, 'ENOSPC') || isSystemError(error, 'ENOMEM')) return false;
        throw error;
      }
    },
    discard: (start, length) => punchHole(fd, start, length),
  };
}

function fileOf(fd: number): string {
  const { dev, ino } = fstatSync(fd);
  return `${dev}:${ino}`;
}
