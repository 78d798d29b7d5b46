#pragma once

#include <cstdint>

#include "fuse/transport.h"
#include "io_uring/io_ring.h"

namespace eventfs {

/**
 * Replies that one system call writes to /dev/fuse, if the machine has io_uring(7).
 *
 * Each write wakes a reader. After a system call of its own the kernel would also run that reader
 * at once, so a batch costs less than its calls alone would suggest
 * (docs/decisions/008-wake-64-at-a-time.md).
 */
class ReplyBatch {
 public:
  static constexpr uint32_t kMaxReplies = 64;

  /** Opens the ring now: the daemon's number of descriptors must not depend on its requests. */
  ReplyBatch() { ring_.open(kMaxReplies); }

  bool isEmpty() const { return count_ == 0; }
  bool isFull() const { return count_ == kMaxReplies; }
  /** Adds a reply. The memory of `body` must not change until `send`. */
  void add(uint64_t unique, const ReplyBody& body);

  /**
   * Writes all replies to `fd`, an open /dev/fuse, and empties the batch.
   * @returns how many there were; `unique` and `error` describe them until the next `add`
   */
  uint32_t send(int fd);
  uint64_t unique(uint32_t index) const { return replies_[index].header.unique; }
  /** 0, or the errno with which the kernel rejected the reply. */
  int error(uint32_t index) const { return errors_[index]; }

  void close() { ring_.close(); }

 private:
  uint32_t sendThroughRing(int fd);

  IoRing ring_;
  uint32_t count_ = 0;
  Reply replies_[kMaxReplies];
  int errors_[kMaxReplies];
};

}  // namespace eventfs
