#pragma once

#include <cstdint>

#include "fuse/backoff.h"

namespace eventfs {

/**
 * Decides whether to read /dev/fuse again right after a reply, or to return to the event loop,
 * whose epoll is level-triggered.
 *
 * The read is a wasted system call if the client has not sent its next request yet. It saves a turn
 * of the event loop if the client has (on one CPU a client often runs as soon as it has its reply),
 * if other clients have requests waiting, or if no client waits (RELEASE). So the read happens
 * after an opcode whose last such read found a request.
 */
class ReadAgain {
 public:
  bool isWorthIt(uint32_t opcode) { return records_[opcode % kOpcodes].isWorthIt(); }
  void record(uint32_t opcode, bool paid) { records_[opcode % kOpcodes].record(paid); }

 private:
  // The kernel's highest opcode is 53. Two opcodes may share a record.
  static constexpr uint32_t kOpcodes = 64;
  Backoff<31> records_[kOpcodes];
};

}  // namespace eventfs
