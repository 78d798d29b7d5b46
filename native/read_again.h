#pragma once

#include <algorithm>
#include <cstdint>

namespace eventfs {

/**
 * Whether to read /dev/fuse again right after a reply, or leave that to the event loop, whose epoll is level-triggered.
 *
 * Where the client has not got as far as its next request, the read is a wasted system call. Where it has (on one CPU
 * it often runs as soon as it is answered), where others have requests waiting, or where nobody waits (RELEASE), the
 * read saves a turn of the event loop. So it is tried where the last try after the same opcode paid off. After one
 * that did not, replies are let pass first: 1, then 3, 7, 15, at most `kMostLetPass`, until a try pays off again.
 */
class ReadAgain {
 public:
  static constexpr uint8_t kMostLetPass = 31;

  bool isWorthIt(uint32_t opcode) {
    Record& record = records_[opcode % kOpcodes];
    if (record.left == 0) return true;
    --record.left;
    return false;
  }

  void hasPaid(uint32_t opcode, bool paid) {
    Record& record = records_[opcode % kOpcodes];
    record.letPass = paid ? 0 : std::min<uint8_t>(kMostLetPass, record.letPass * 2 + 1);
    record.left = record.letPass;
  }

 private:
  struct Record {
    /** How many replies to let pass after the last try, and how many of them are still to come. */
    uint8_t letPass;
    uint8_t left;
  };
  static constexpr uint32_t kOpcodes = 64;  // the kernel's highest is 53; two that share a record do no harm
  Record records_[kOpcodes] = {};
};

}  // namespace eventfs
