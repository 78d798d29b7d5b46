#pragma once

#include <linux/fuse.h>

#include <cstdint>

namespace eventfs {

/** Returns whether the kernel accepts a reply to a request (include/uapi/linux/fuse.h). */
inline bool hasReply(uint32_t opcode) {
  return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
}

/** Returns whether the kernel releases something, and no caller waits for the reply. */
inline bool isRelease(uint32_t opcode) {
  return opcode == FUSE_RELEASE || opcode == FUSE_RELEASEDIR || opcode == FUSE_FORGET ||
         opcode == FUSE_BATCH_FORGET;
}

/**
 * Returns whether the kernel locks a directory for a request, so that it sends no other one of this
 * kind for the directory (fs/namei.c).
 */
inline bool locksDirectory(uint32_t opcode) {
  switch (opcode) {
    case FUSE_CREATE:
    case FUSE_LINK:
    case FUSE_MKDIR:
    case FUSE_MKNOD:
    case FUSE_RENAME:
    case FUSE_RENAME2:
    case FUSE_RMDIR:
    case FUSE_SYMLINK:
    case FUSE_UNLINK: return true;
    default: return false;
  }
}

/**
 * Returns whether a request only frees memory, so that no process's death changes its result.
 * RELEASE is not such a request: it publishes the event of a written file, or of an open `publish`.
 */
inline bool isForget(uint32_t opcode) {
  return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET;
}

}  // namespace eventfs
