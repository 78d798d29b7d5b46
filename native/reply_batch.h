#pragma once

#include <linux/fuse.h>
#include <sys/uio.h>

#include <cstdint>

#include "io_ring.h"

namespace eventfs {

/**
 * Replies to many requests, written to /dev/fuse by one system call where there is io_uring(7).
 *
 * Each write wakes who waits for it, and as a system call of its own would give him our CPU at once; so they are also
 * cheaper than what the calls alone cost (docs/DECISIONS.md).
 */
class ReplyBatch {
 public:
  static constexpr uint32_t kMost = 64;

  /** Now rather than with the first batch, so that a daemon's number of descriptors does not depend on what it is asked. */
  ReplyBatch() { ring_.open(kMost); }

  /** What comes behind the header of each that is added from now on, in two parts, which must stay as they are until `send`. */
  void begin(const iovec& first, const iovec& second);
  bool isEmpty() const { return count_ == 0; }
  bool isFull() const { return count_ == kMost; }
  void add(uint64_t unique);

  /** Writes them to `fd`, an open /dev/fuse. Then nobody is in the batch, and `unique` and `error` tell of those who were. */
  uint32_t send(int fd);
  void close() { ring_.close(); }
  uint64_t unique(uint32_t index) const { return headers_[index].unique; }
  /** 0, or the errno with which the kernel did not take the reply. */
  int error(uint32_t index) const { return errors_[index]; }

 private:
  uint32_t sendAtOnce(int fd);

  IoRing ring_;
  uint32_t length_ = 0;
  uint32_t count_ = 0;
  iovec behind_[2];
  fuse_out_header headers_[kMost];
  iovec parts_[kMost][3];
  int errors_[kMost];
};

}  // namespace eventfs
