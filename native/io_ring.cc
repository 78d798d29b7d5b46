#include "io_ring.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace eventfs {

// From Linux 5.19, 6.0 and 6.1 on, and perhaps not in the headers that we are compiled with
static constexpr uint32_t kTaskRunFlag = 1u << 9;    // IORING_SETUP_TASKRUN_FLAG
static constexpr uint32_t kSingleIssuer = 1u << 12;  // IORING_SETUP_SINGLE_ISSUER
static constexpr uint32_t kDeferTaskRun = 1u << 13;  // IORING_SETUP_DEFER_TASKRUN
static constexpr uint32_t kTaskRun = 1u << 2;        // IORING_SQ_TASKRUN

bool Mapping::map(int fd, uint64_t offset, size_t length) {
  reset();
  void* start = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, static_cast<off_t>(offset));
  if (start == MAP_FAILED) return false;
  start_ = start;
  length_ = length;
  return true;
}

void Mapping::reset() {
  if (void* start = std::exchange(start_, nullptr)) munmap(start, length_);
}

bool IoRing::open(uint32_t entries) {
  io_uring_params params{};
  params.flags = kSingleIssuer | kDeferTaskRun | kTaskRunFlag;
  // Close-on-exec of itself
  fd_.reset(static_cast<int>(syscall(SYS_io_uring_setup, entries, &params)));
  if (!fd_) return false;
  size_t bytes = std::max(params.sq_off.array + params.sq_entries * sizeof(uint32_t),
                          params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe));
  // IORING_FEAT_SINGLE_MMAP, which any kernel has that knows the flags above: both rings lie in one mapping
  if (!rings_.map(fd_.get(), IORING_OFF_SQ_RING, bytes) ||
      !entries_.map(fd_.get(), IORING_OFF_SQES, params.sq_entries * sizeof(io_uring_sqe))) {
    close();
    return false;
  }
  const auto& sq = params.sq_off;
  const auto& cq = params.cq_off;
  submissions_ = {rings_.at<uint32_t>(sq.head), rings_.at<uint32_t>(sq.tail), *rings_.at<uint32_t>(sq.ring_mask)};
  completions_ = {rings_.at<uint32_t>(cq.head), rings_.at<uint32_t>(cq.tail), *rings_.at<uint32_t>(cq.ring_mask)};
  flags_ = rings_.at<uint32_t>(sq.flags);
  sqes_ = entries_.at<io_uring_sqe>(0);
  cqes_ = rings_.at<io_uring_cqe>(cq.cqes);
  // Place i of the ring is always entry i
  for (uint32_t i = 0; i < params.sq_entries; ++i) rings_.at<uint32_t>(sq.array)[i] = i;
  return true;
}

void IoRing::close() {
  rings_.reset();
  entries_.reset();
  fd_.reset();
  unsubmitted_ = 0;
}

io_uring_sqe* IoRing::next() {
  io_uring_sqe* sqe = &sqes_[(*submissions_.tail + unsubmitted_++) & submissions_.mask];
  memset(sqe, 0, sizeof(*sqe));
  return sqe;
}

uint32_t IoRing::submit() {
  uint32_t all = std::exchange(unsubmitted_, 0);
  __atomic_store_n(submissions_.tail, *submissions_.tail + all, __ATOMIC_RELEASE);
  uint32_t taken = 0;
  while (taken < all) {
    long more = syscall(SYS_io_uring_enter, fd_.get(), all - taken, 0, 0, nullptr, 0);
    if (more < 0 && errno == EINTR) continue;
    if (more <= 0) break;
    taken += static_cast<uint32_t>(more);
  }
  return taken;
}

bool IoRing::hasWork() const {
  return (__atomic_load_n(flags_, __ATOMIC_ACQUIRE) & kTaskRun) != 0 ||
         __atomic_load_n(completions_.tail, __ATOMIC_ACQUIRE) != *completions_.head;
}

void IoRing::work() {
  // By us, and before: the kernel sets it only after it has queued the work, which may have been done by then, and leaves it set
  __atomic_fetch_and(flags_, ~kTaskRun, __ATOMIC_SEQ_CST);
  syscall(SYS_io_uring_enter, fd_.get(), 0, 0, IORING_ENTER_GETEVENTS, nullptr, 0);
}

}  // namespace eventfs
