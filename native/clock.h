#pragma once

#include <time.h>

#include <cstdint>

namespace eventfs {

/** CLOCK_MONOTONIC in nanoseconds; no system call where the vDSO has it. */
inline uint64_t nowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace eventfs
