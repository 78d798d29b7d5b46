#pragma once

#include <cstdio>
#include <cstdlib>

namespace eventfs {

/** Whether this process checks invariants: EVENTFS_ASSERT is set, as for those in TypeScript. */
inline const bool kAsserts = std::getenv("EVENTFS_ASSERT") != nullptr;

/** Reports a broken invariant and aborts. A daemon in that state must not reply to anyone. */
[[noreturn]] inline void brokenInvariant(const char* invariant, const char* file, int line) {
  std::fprintf(stderr, "eventfs: broken invariant: %s (%s:%d)\n", invariant, file, line);
  std::abort();
}

}  // namespace eventfs

/**
 * Aborts if `condition` is false and EVENTFS_ASSERT is set. Costs one predictable branch otherwise.
 */
#define EVENTFS_INVARIANT(condition)                                  \
  do {                                                                \
    if (__builtin_expect(::eventfs::kAsserts, false) && !(condition)) \
      ::eventfs::brokenInvariant(#condition, __FILE__, __LINE__);     \
  } while (false)
