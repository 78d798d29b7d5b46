// The memory that the kernel fills with a request, and its layout.
#pragma once

#include <linux/fuse.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "io_uring/fuse_ring.h"

namespace eventfs {

// Older headers lack these: include/uapi/linux/fuse.h 7.42, include/uapi/linux/io_uring.h

inline constexpr uint32_t kRegister = 1;        // FUSE_IO_URING_CMD_REGISTER
inline constexpr uint32_t kCommitAndFetch = 2;  // FUSE_IO_URING_CMD_COMMIT_AND_FETCH
inline constexpr uint8_t kUringCmd = 46;        // IORING_OP_URING_CMD

/** fuse_uring_ent_in_out */
struct EntryInOut {
  uint64_t flags;
  uint64_t commitId;
  uint32_t payloadBytes;
  uint32_t padding;
  uint64_t reserved;
};

/** fuse_uring_req_header */
struct EntryHeaders {
  uint8_t inOut[128];
  uint8_t operation[128];
  EntryInOut entry;
};
static_assert(sizeof(EntryHeaders) == 288);

/** fuse_uring_cmd_req, in the second half of an io_uring_sqe. */
struct CommandRequest {
  uint64_t flags;
  uint64_t commitId;
  uint16_t queue;
  uint8_t padding[6];
};
static_assert(sizeof(CommandRequest) == 24);
inline constexpr size_t kCommandOffset = 48;

struct FuseRing::Entry {
  EntryHeaders headers;
  iovec parts[2];  // the headers and the payload, as registered with the kernel
  uint32_t queue;
  uint32_t generation;
  /** The next held entry with the same hash. */
  Entry* next;
  /** How many bytes of the payload may have memory behind them; 0 if they are few. */
  size_t largeBytes;
  bool isHeld;

  const fuse_in_header* request() const {
    return reinterpret_cast<const fuse_in_header*>(headers.inOut);
  }
  uint8_t* payload() const { return static_cast<uint8_t*>(parts[1].iov_base); }
};

}  // namespace eventfs
