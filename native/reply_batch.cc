#include "reply_batch.h"

#include <cerrno>
#include <cstring>

namespace eventfs {

// From Linux 5.17 on, and perhaps not in the headers that we are compiled with
static constexpr uint8_t kSkipSuccess = 1u << 6;  // IOSQE_CQE_SKIP_SUCCESS

void ReplyBatch::begin(const iovec& first, const iovec& second) {
  behind_[0] = first;
  behind_[1] = second;
  length_ = static_cast<uint32_t>(sizeof(fuse_out_header) + first.iov_len + second.iov_len);
}

void ReplyBatch::add(uint64_t unique) {
  headers_[count_] = {length_, 0, unique};
  iovec* parts = parts_[count_];
  parts[0] = {&headers_[count_], sizeof(fuse_out_header)};
  memcpy(&parts[1], behind_, sizeof(behind_));
  errors_[count_] = 0;
  ++count_;
}

uint32_t ReplyBatch::send(int fd) {
  uint32_t sent = count_ > 1 && ring_.isOpen() ? sendAtOnce(fd) : 0;
  for (; sent < count_; ++sent) {
    if (writev(fd, parts_[sent], 3) < 0) errors_[sent] = errno;
  }
  count_ = 0;
  return sent;
}

/** IORING_OP_WRITEV of each. A write to /dev/fuse never has to wait, so all are done at once. Gives how many that were. */
uint32_t ReplyBatch::sendAtOnce(int fd) {
  for (uint32_t i = 0; i < count_; ++i) {
    io_uring_sqe* sqe = ring_.next();
    sqe->opcode = IORING_OP_WRITEV;
    sqe->flags = kSkipSuccess;
    sqe->fd = fd;
    sqe->off = UINT64_MAX;  // the file has no position
    sqe->addr = reinterpret_cast<uintptr_t>(parts_[i]);
    sqe->len = 3;
    sqe->user_data = i;
  }
  uint32_t sent = ring_.submit();
  ring_.complete([this](const io_uring_cqe& cqe) {
    if (cqe.res < 0) errors_[cqe.user_data] = -cqe.res;
  });
  if (sent < count_) ring_.close();  // it does not work: the rest goes the old way, and all that follow
  return sent;
}

}  // namespace eventfs
