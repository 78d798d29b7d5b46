#pragma once

#include <napi.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>

namespace eventfs {

/** The same messages to many sockets: the arguments of `sendToAll` and `passToAll` (index.d.ts), looked at once. */
class FanOut {
 public:
  /** The most messages of one call; the caller has them checked. */
  static constexpr uint32_t kMostMessages = 64;

  /** Throws a RangeError when an array is too short or a slice is outside of the memory. */
  explicit FanOut(const Napi::CallbackInfo& info);

  uint32_t messages() const { return messages_; }
  const iovec& slice(uint32_t message) const { return slices_[message]; }
  /** Only the first `count` of the messages are sent: everybody who has got those has not got all. */
  void limitTo(uint32_t count) { sendable_ = count; }

  /**
   * sendmmsg(2) to each socket. With `descriptors` message i is the first line of slice i, and takes descriptor i along.
   * Gives how many sockets did not take all; which they are is in `failed`.
   */
  uint32_t send(const int* descriptors);

 private:
  void prepare(const int* descriptors);

  const int32_t* sockets_;
  uint32_t count_;
  uint32_t messages_;
  uint32_t sendable_;
  int32_t* failed_;
  iovec slices_[kMostMessages];
  mmsghdr headers_[kMostMessages];
  struct Passing {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    iovec line;
  };
  Passing passings_[kMostMessages];
};

}  // namespace eventfs
