#pragma once

#include <time.h>

#include <cstdint>

namespace eventfs {

/** Returns CLOCK_MONOTONIC in nanoseconds. Makes no system call if the machine has the vDSO. */
inline uint64_t nowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace eventfs
