#pragma once

#include <sched.h>

#include <cstdint>

#include "backoff.h"
#include "clock.h"

namespace eventfs {

/**
 * Looking at /dev/fuse for a while after a request, before going to sleep.
 *
 * On two CPUs most of what a request costs is waking the daemon. Where a client asks again within microseconds, looking
 * again finds the request without that. It costs a CPU that nobody else can use meanwhile, so it ends when nothing has come for
 * `lookUs`. On a single CPU the client can only run if we let it: there a look is one sched_yield(2), after which its
 * next request is likely to be there, and it ends with the first look that finds nothing; where the client has waited for its
 * answer, sleeping does the same for less. Either way it is not tried where it has not paid off lately. Other descriptors
 * wait meanwhile, at most `kMostLooks` times as long.
 */
class BusyPoll {
 public:
  /** @param lookUs microseconds; 0 never looks */
  explicit BusyPoll(uint32_t lookUs) : lookNs_(uint64_t{lookUs} * 1000), isAlone_(cpuCount() == 1) {}

  /** Whether looking is right at all after a request for which somebody `hasWaited`, or nobody has. */
  bool suits(bool hasWaited) const { return lookNs_ != 0 && !(isAlone_ && hasWaited); }
  /** Whether somebody is likely to ask again soon. Then say with `hasPaid` whether somebody has. */
  bool isWorthIt() { return backoff_.isWorthIt(); }
  void hasPaid(bool paid) { backoff_.hasPaid(paid); }

  void begin() {
    lastNs_ = nowNs();
    endNs_ = lastNs_ + kMostLooks * lookNs_;
    hasMissed_ = false;
  }
  /** Lets whoever may ask next get so far. */
  void giveWay() const {
    if (isAlone_) sched_yield();
  }
  /** Something was found: another may follow as soon. */
  void found() { lastNs_ = nowNs(); }
  void missed() { hasMissed_ = true; }
  bool isOver() const {
    uint64_t now = nowNs();
    return (isAlone_ && hasMissed_) || now - lastNs_ >= lookNs_ || now >= endNs_;
  }

 private:
  static constexpr uint64_t kMostLooks = 10;

  /** How many CPUs we may run on: sched_getaffinity(2). */
  static int cpuCount() {
    cpu_set_t cpus;
    return sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
  }

  uint64_t lookNs_;
  /** Whether there is one CPU only for us and our clients. */
  bool isAlone_;
  bool hasMissed_ = false;
  uint64_t lastNs_ = 0;
  uint64_t endNs_ = 0;
  Backoff<63> backoff_;
};

}  // namespace eventfs
