#include "device/reply_batch.h"

#include <cerrno>

#include "invariant.h"

namespace eventfs {

// Linux 5.17 and newer; older headers lack it
static constexpr uint8_t kSkipSuccess = 1u << 6;  // IOSQE_CQE_SKIP_SUCCESS

void ReplyBatch::add(uint64_t unique, const ReplyBody& body) {
  EVENTFS_INVARIANT(!isFull());
  EVENTFS_INVARIANT(unique != 0);
  replies_[count_].build(unique, body);
  errors_[count_] = 0;
  ++count_;
}

uint32_t ReplyBatch::send(int fd) {
  uint32_t sent = count_ > 1 && ring_.isOpen() ? sendThroughRing(fd) : 0;
  for (; sent < count_; ++sent) {
    if (writev(fd, replies_[sent].parts, Reply::kParts) < 0) errors_[sent] = errno;
  }
  count_ = 0;
  return sent;
}

/**
 * Submits IORING_OP_WRITEV for each reply. A write to /dev/fuse never waits, so all are complete on
 * return. Returns how many the kernel took.
 */
uint32_t ReplyBatch::sendThroughRing(int fd) {
  EVENTFS_INVARIANT(ring_.unsubmitted() == 0);
  for (uint32_t i = 0; i < count_; ++i) {
    io_uring_sqe* sqe = ring_.next();
    sqe->opcode = IORING_OP_WRITEV;
    sqe->flags = kSkipSuccess;
    sqe->fd = fd;
    sqe->off = UINT64_MAX;  // the file has no position
    sqe->addr = reinterpret_cast<uintptr_t>(replies_[i].parts);
    sqe->len = Reply::kParts;
    sqe->user_data = i;
  }
  uint32_t sent = ring_.submit();
  ring_.complete([this](const io_uring_cqe& cqe) {
    EVENTFS_INVARIANT(cqe.user_data < count_);
    if (cqe.res < 0) errors_[cqe.user_data] = -cqe.res;
  });
  // If the ring has failed, writev(2) writes the rest and all later batches
  if (sent < count_) ring_.close();
  return sent;
}

}  // namespace eventfs
