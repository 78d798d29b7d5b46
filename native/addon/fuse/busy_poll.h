#pragma once

#include <sched.h>

#include <cstdint>

#include "clock.h"
#include "fuse/backoff.h"

namespace eventfs {

/**
 * Polls for the next request for a while before the daemon sleeps.
 *
 * On two CPUs the wake-up of the daemon is most of a request's cost. A client that asks again
 * within microseconds is served without one. Polling takes a CPU from other processes, so it ends
 * once no request has come for `pollUs`. On a single CPU a client runs only if the daemon yields:
 * there each round is one sched_yield(2), and the first round that finds nothing ends the polling.
 * If that client waits for a reply, sleeping does the same for less. In both cases a poll happens
 * only if recent ones paid off. Other descriptors wait meanwhile, at most `kMaxPauses` times
 * `pollUs`.
 */
class BusyPoll {
 public:
  /** @param pollUs microseconds without a request that end a poll; 0 never polls */
  explicit BusyPoll(uint32_t pollUs)
      : pollNs_(uint64_t{pollUs} * 1000), isAlone_(cpuCount() == 1) {}

  /**
   * Returns whether polling can help after a request whose caller waits for the reply, or does not.
   */
  bool suits(bool callerWaits) const { return pollNs_ != 0 && !(isAlone_ && callerWaits); }
  /**
   * Returns whether a request is likely to come soon. The caller then reports the result to
   * `record`.
   */
  bool isWorthIt() { return backoff_.isWorthIt(); }
  void record(bool paid) { backoff_.record(paid); }

  void begin() {
    lastNs_ = nowNs();
    endNs_ = lastNs_ + kMaxPauses * pollNs_;
    hasMissed_ = false;
  }
  /** Lets the next client run, if there is one CPU for it and the daemon. */
  void yield() const {
    if (isAlone_) sched_yield();
  }
  /** A round found a request, and another one may follow as soon. */
  void found() { lastNs_ = nowNs(); }
  void missed() { hasMissed_ = true; }
  bool isOver() const {
    uint64_t now = nowNs();
    return (isAlone_ && hasMissed_) || now - lastNs_ >= pollNs_ || now >= endNs_;
  }

 private:
  static constexpr uint64_t kMaxPauses = 10;

  /** Returns the number of CPUs that this process may run on: sched_getaffinity(2). */
  static int cpuCount() {
    cpu_set_t cpus;
    return sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
  }

  uint64_t pollNs_;
  /** Whether the daemon shares a single CPU with its clients. */
  bool isAlone_;
  bool hasMissed_ = false;
  uint64_t lastNs_ = 0;
  uint64_t endNs_ = 0;
  Backoff<63> backoff_;
};

}  // namespace eventfs
