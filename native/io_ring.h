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
   * io_uring_setup(2) for up to `entries` submissions at a time, a power of two, with IORING_SETUP_* `flags` besides those that all
   * have, and where these ask for it (CQSIZE) room for `completions`. False, with errno, when the kernel has none, an older one than
   * 6.1, or does not let us (kernel.io_uring_disabled, a container's seccomp filter).
   */
  bool open(uint32_t entries, uint32_t flags = 0, uint32_t completions = 0);
  bool isOpen() const { return static_cast<bool>(fd_); }
  void close();

  // ---- Submissions

  bool isFull() const;
  /** The next submission, all zero; with IORING_SETUP_SQE128 its second half lies behind it. Not when it is full. */
  io_uring_sqe* next();
  /** How many the kernel has not taken yet. */
  uint32_t unsubmitted() const { return unsubmitted_; }
  /** io_uring_enter(2) with IORING_ENTER_* `flags`; gives how many it took, or -1 with errno. */
  long enter(uint32_t flags);
  /**
   * The same until all have been taken or it fails; gives how many it took, the first of them. What can be done without waiting is
   * done when it returns.
   */
  uint32_t submit();

  // ---- Completions

  /** Whether `enter` with IORING_ENTER_GETEVENTS would complete something: a look at memory, no system call. */
  bool isDeferred() const;
  /** Whether it would, or something is completed. */
  bool hasWork() const { return isDeferred() || head() != tail(); }
  /** The completions that nobody has seen yet are those from `head` up to `tail`. */
  uint32_t head() const { return *completions_.head; }
  uint32_t tail() const { return __atomic_load_n(completions_.tail, __ATOMIC_ACQUIRE); }
  const io_uring_cqe& at(uint32_t place) const { return cqes_[place & completions_.mask]; }
  /** Those before `head` have been seen. */
  void seen(uint32_t head) { __atomic_store_n(completions_.head, head, __ATOMIC_RELEASE); }
  /** Calls `take` with each completion there is. */
  template <typename Take>
  void complete(Take take) {
    uint32_t place = head();
    for (uint32_t end = tail(); place != end; ++place) take(at(place));
    seen(place);
  }

  /** Has an eventfd(2) raised by completions and by what is deferred, IORING_REGISTER_EVENTFD; false, with errno. */
  bool registerEventfd(int fd);
  /** Whether it is raised by what comes from now on. */
  void raiseEvents(bool does);

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
  uint32_t* completionFlags_ = nullptr;
  io_uring_cqe* cqes_ = nullptr;
  size_t sqeBytes_ = 0;
  uint32_t unsubmitted_ = 0;
};

}  // namespace eventfs
