#pragma once

#include <napi.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>

#include "sockets/rights.h"

namespace eventfs {

/** The same messages to many sockets: the arguments of `sendToAll` and `passToAll` (index.d.ts). */
class FanOut {
 public:
  /** The most messages of one call. */
  static constexpr uint32_t kMaxMessages = 64;

  /** Throws a RangeError if an array is too short or a slice exceeds the memory. */
  explicit FanOut(const Napi::CallbackInfo& info);

  uint32_t messages() const { return messages_; }
  const iovec& slice(uint32_t message) const { return slices_[message]; }
  /** Sends only the first `count` messages, so that no socket receives all. */
  void limitTo(uint32_t count) { sendable_ = count; }

  /**
   * Sends to each socket (sendmmsg(2)), and describes failures in `failed`.
   * @param descriptors nullptr; or one for each message, which then carries it and has only the
   *   first line of its slice
   * @returns how many sockets have not received all messages
   */
  uint32_t send(const int* descriptors);

 private:
  void prepare(const int* descriptors);
  void attach(uint32_t message, int descriptor);

  const int32_t* sockets_;
  uint32_t count_;
  uint32_t messages_;
  uint32_t sendable_;
  int32_t* failed_;
  iovec slices_[kMaxMessages];
  mmsghdr headers_[kMaxMessages];
  /** A message that carries a descriptor. */
  struct Passing {
    RightsControl control;
    iovec line;
  };
  Passing passings_[kMaxMessages];
};

}  // namespace eventfs
