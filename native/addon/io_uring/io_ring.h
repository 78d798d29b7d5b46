#pragma once

#include <linux/io_uring.h>

#include <cstddef>
#include <cstdint>

#include "descriptor.h"
#include "invariant.h"

namespace eventfs {

/** Memory that the kernel shares. The destructor unmaps it. */
class Mapping {
 public:
  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { reset(); }

  /**
   * Maps `length` bytes of `fd` from `offset` on (mmap(2)). Returns false, with errno, if it fails.
   */
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

/** The two rings of io_uring(7). One thread fills submissions and reads completions. */
class IoRing {
 public:
  /**
   * Sets a ring up (io_uring_setup(2)).
   *
   * @param entries submissions at a time, a power of two
   * @param flags IORING_SETUP_* bits besides those that every ring of ours has
   * @param completions room for completions, if `flags` has IORING_SETUP_CQSIZE
   * @returns false, with errno, if the kernel has no io_uring, is older than 6.1, or forbids it
   *   (kernel.io_uring_disabled, a container's seccomp filter)
   */
  bool open(uint32_t entries, uint32_t flags = 0, uint32_t completions = 0);
  bool isOpen() const { return static_cast<bool>(fd_); }
  void close();

  // ---- Submissions

  bool isFull() const;
  /**
   * Returns the next submission, all zero. With IORING_SETUP_SQE128 its second half lies behind it.
   * The ring must not be full.
   */
  io_uring_sqe* next();
  /** The number of submissions that the kernel has not taken yet. */
  uint32_t unsubmitted() const { return unsubmitted_; }
  /**
   * Calls io_uring_enter(2) with IORING_ENTER_* `flags`.
   * @returns how many submissions the kernel took, or -1 with errno
   */
  long enter(uint32_t flags);
  /**
   * Enters until the kernel has taken all submissions, or fails. Operations that need not wait are
   * complete on return.
   * @returns how many submissions the kernel took, from the first on
   */
  uint32_t submit();

  // ---- Completions

  /**
   * Returns whether `enter` with IORING_ENTER_GETEVENTS would complete anything. Reads memory only.
   */
  bool isDeferred() const;
  /** Returns whether completions wait, or `isDeferred` is true. */
  bool hasWork() const { return isDeferred() || head() != tail(); }
  /** The new completions are those from `head` up to `tail`. */
  uint32_t head() const { return *completions_.head; }
  uint32_t tail() const { return __atomic_load_n(completions_.tail, __ATOMIC_ACQUIRE); }
  const io_uring_cqe& at(uint32_t place) const { return cqes_[place & completions_.mask]; }
  /** Frees the completions before `head`. */
  void seen(uint32_t head) {
    EVENTFS_INVARIANT(tail() - head <= completions_.mask + 1);
    __atomic_store_n(completions_.head, head, __ATOMIC_RELEASE);
  }
  /** Calls `take` with each new completion, and frees them. */
  template <typename Take>
  void complete(Take take) {
    uint32_t place = head();
    for (uint32_t end = tail(); place != end; ++place) take(at(place));
    seen(place);
  }

  /**
   * Makes completions and deferred work signal an eventfd(2) (IORING_REGISTER_EVENTFD).
   * @returns false, with errno, if it fails
   */
  bool registerEventfd(int fd);
  /** Returns whether later completions and deferred work signal the eventfd. */
  void setEventfdEnabled(bool isEnabled);

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
