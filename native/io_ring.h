#pragma once

#include <linux/io_uring.h>

#include <cstddef>
#include <cstdint>

#include "descriptor.h"

namespace eventfs {

/** Memory that is shared with the kernel, unmapped with its owner. */
class Mapping {
 public:
  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { reset(); }

  /** mmap(2) of `length` bytes of `fd` from `offset` on; false when it fails. */
  bool map(int fd, uint64_t offset, size_t length);
  void reset();
  template <typename Type>
  Type* at(size_t offset) const {
    return reinterpret_cast<Type*>(static_cast<char*>(start_) + offset);
  }

 private:
  void* start_ = nullptr;
  size_t length_ = 0;
};

/** The two rings of io_uring(7), for one thread that fills the one and reads the other. */
class IoRing {
 public:
  /**
   * io_uring_setup(2) for up to `entries` submissions at a time, a power of two. False when the kernel has none, an older one than
   * 6.1, or does not let us (kernel.io_uring_disabled, a container's seccomp filter).
   */
  bool open(uint32_t entries);
  bool isOpen() const { return static_cast<bool>(fd_); }
  void close();

  /** The next submission, all zero. No more than `entries` of them before they are submitted. */
  io_uring_sqe* next();
  /**
   * io_uring_enter(2) until all have been taken or it fails; gives how many it took, the first of them. What can be done without
   * waiting is done when it returns.
   */
  uint32_t submit();
  /** Whether the kernel has something to complete, or has completed it: a look at memory, no system call. */
  bool hasWork() const;
  /** io_uring_enter(2): completes what has been waiting for that. */
  void work();

  /** Calls `take` with each completion there is. */
  template <typename Take>
  void complete(Take take) {
    uint32_t head = *completions_.head;
    uint32_t tail = __atomic_load_n(completions_.tail, __ATOMIC_ACQUIRE);
    for (; head != tail; ++head) take(cqes_[head & completions_.mask]);
    __atomic_store_n(completions_.head, head, __ATOMIC_RELEASE);
  }

 private:
  struct Ends {
    uint32_t* head = nullptr;
    uint32_t* tail = nullptr;
    uint32_t mask = 0;
  };

  Descriptor fd_;
  Mapping rings_;
  Mapping entries_;
  Ends submissions_;
  Ends completions_;
  uint32_t* flags_ = nullptr;
  io_uring_sqe* sqes_ = nullptr;
  io_uring_cqe* cqes_ = nullptr;
  uint32_t unsubmitted_ = 0;
};

}  // namespace eventfs
