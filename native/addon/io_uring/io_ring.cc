#include "io_uring/io_ring.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace eventfs {

// Linux 5.8, 5.19, 6.0 and 6.1; older headers lack them
static constexpr uint32_t kTaskRunFlag = 1u << 9;    // IORING_SETUP_TASKRUN_FLAG
static constexpr uint32_t kSqe128 = 1u << 10;        // IORING_SETUP_SQE128
static constexpr uint32_t kSingleIssuer = 1u << 12;  // IORING_SETUP_SINGLE_ISSUER
static constexpr uint32_t kDeferTaskRun = 1u << 13;  // IORING_SETUP_DEFER_TASKRUN
static constexpr uint32_t kOverflow = 1u << 1;       // IORING_SQ_CQ_OVERFLOW
static constexpr uint32_t kTaskRun = 1u << 2;        // IORING_SQ_TASKRUN
static constexpr uint32_t kEventfdDisabled = 1u;     // IORING_CQ_EVENTFD_DISABLED
static constexpr uint32_t kRegisterEventfd = 4;      // IORING_REGISTER_EVENTFD

bool Mapping::map(int fd, uint64_t offset, size_t length) {
  reset();
  void* start = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
                     static_cast<off_t>(offset));
  if (start == MAP_FAILED) return false;
  start_ = start;
  length_ = length;
  return true;
}

void Mapping::reset() {
  if (void* start = std::exchange(start_, nullptr)) munmap(start, length_);
}

bool IoRing::open(uint32_t entries, uint32_t flags, uint32_t completions) {
  io_uring_params params{};
  params.flags = kSingleIssuer | kDeferTaskRun | kTaskRunFlag | flags;
  params.cq_entries = completions;
  // The kernel sets close-on-exec by itself
  fd_.reset(static_cast<int>(syscall(SYS_io_uring_setup, entries, &params)));
  if (!fd_) return false;
  sqeBytes_ = sizeof(io_uring_sqe) * ((flags & kSqe128) != 0 ? 2 : 1);
  size_t bytes = std::max(params.sq_off.array + params.sq_entries * sizeof(uint32_t),
                          params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe));
  // IORING_FEAT_SINGLE_MMAP: every kernel that knows the flags above has both rings in one mapping
  if (!rings_.map(fd_.get(), IORING_OFF_SQ_RING, bytes) ||
      !entries_.map(fd_.get(), IORING_OFF_SQES, params.sq_entries * sqeBytes_)) {
    int error = errno;
    close();
    errno = error;
    return false;
  }
  const auto& sq = params.sq_off;
  const auto& cq = params.cq_off;
  submissions_ = {rings_.at<uint32_t>(sq.head), rings_.at<uint32_t>(sq.tail),
                  *rings_.at<uint32_t>(sq.ring_mask)};
  completions_ = {rings_.at<uint32_t>(cq.head), rings_.at<uint32_t>(cq.tail),
                  *rings_.at<uint32_t>(cq.ring_mask)};
  flags_ = rings_.at<uint32_t>(sq.flags);
  completionFlags_ = rings_.at<uint32_t>(cq.flags);
  cqes_ = rings_.at<io_uring_cqe>(cq.cqes);
  // Place i of the ring always holds entry i
  for (uint32_t i = 0; i < params.sq_entries; ++i) rings_.at<uint32_t>(sq.array)[i] = i;
  return true;
}

void IoRing::close() {
  fd_.reset();
  rings_.reset();
  entries_.reset();
  unsubmitted_ = 0;
}

bool IoRing::isFull() const {
  return *submissions_.tail - __atomic_load_n(submissions_.head, __ATOMIC_ACQUIRE) >
         submissions_.mask;
}

io_uring_sqe* IoRing::next() {
  EVENTFS_INVARIANT(isOpen() && !isFull());
  uint32_t tail = *submissions_.tail;
  auto* sqe = entries_.at<io_uring_sqe>((tail & submissions_.mask) * sqeBytes_);
  memset(static_cast<void*>(sqe), 0, sqeBytes_);
  // The caller fills the entry later: the kernel reads it only inside of `enter`
  __atomic_store_n(submissions_.tail, tail + 1, __ATOMIC_RELEASE);
  ++unsubmitted_;
  return sqe;
}

long IoRing::enter(uint32_t flags) {
  // Clear the flag here, and first. The kernel sets it after it has queued the work. Another
  // `enter` may have done that work by then, and the kernel would leave the flag set.
  if ((flags & IORING_ENTER_GETEVENTS) != 0) {
    __atomic_fetch_and(flags_, ~kTaskRun, __ATOMIC_SEQ_CST);
  }
  long taken = syscall(SYS_io_uring_enter, fd_.get(), unsubmitted_, 0, flags, nullptr, 0);
  if (taken > 0) unsubmitted_ -= static_cast<uint32_t>(taken);
  return taken;
}

uint32_t IoRing::submit() {
  uint32_t all = unsubmitted_;
  while (unsubmitted_ > 0) {
    long taken = enter(0);
    if (taken < 0 && errno == EINTR) continue;
    if (taken <= 0) break;
  }
  return all - unsubmitted_;
}

bool IoRing::isDeferred() const {
  return (__atomic_load_n(flags_, __ATOMIC_ACQUIRE) & (kTaskRun | kOverflow)) != 0;
}

bool IoRing::registerEventfd(int fd) {
  return syscall(SYS_io_uring_register, fd_.get(), kRegisterEventfd, &fd, 1) == 0;
}

void IoRing::setEventfdEnabled(bool isEnabled) {
  __atomic_store_n(completionFlags_, isEnabled ? 0 : kEventfdDisabled, __ATOMIC_SEQ_CST);
}

}  // namespace eventfs
