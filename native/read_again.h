#pragma once

#include "backoff.h"

namespace eventfs {

/**
 * Whether to read /dev/fuse again right after a reply, or leave that to the event loop, whose epoll is level-triggered.
 *
 * Where the client has not got as far as its next request, the read is a wasted system call. Where it has (on one CPU
 * it often runs as soon as it is answered), where others have requests waiting, or where nobody waits (RELEASE), the
 * read saves a turn of the event loop. So it is tried where the last try after the same opcode paid off.
 */
class ReadAgain {
 public:
  bool isWorthIt(uint32_t opcode) { return records_[opcode % kOpcodes].isWorthIt(); }
  void hasPaid(uint32_t opcode, bool paid) { records_[opcode % kOpcodes].hasPaid(paid); }

 private:
  static constexpr uint32_t kOpcodes = 64;  // the kernel's highest is 53; two that share a record do no harm
  Backoff<31> records_[kOpcodes];
};

}  // namespace eventfs
