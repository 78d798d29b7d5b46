/** The set-user-ID and set-group-ID bits of st_mode (inode(7)). */
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_IXGRP = 0o010;

/**
 * Clears the set-user-ID bit, and the set-group-ID bit if the group may execute: an unprivileged
 * user has changed the file. For direct writes the kernel leaves that to the daemon
 * (fs/fuse/file.c).
 * @param mode st_mode
 * @returns the new st_mode
 */
export function withoutSetIds(mode: number): number {
  return mode & ((mode & S_IXGRP) === 0 ? ~S_ISUID : ~(S_ISUID | S_ISGID));
}
