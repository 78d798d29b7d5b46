#pragma once

#include <algorithm>
#include <cstdint>

namespace eventfs {

/**
 * Decides whether to retry an attempt that costs something and sometimes pays off.
 *
 * After an attempt that paid off, the next chance is taken. After each attempt in a row that did
 * not, the next 1, 3, 7, ... chances pass, at most `kMaxSkipped`.
 */
template <uint8_t kMaxSkipped>
class Backoff {
 public:
  /** Whether to take this chance. The caller then reports the result to `record`. */
  bool isWorthIt() {
    if (left_ == 0) return true;
    --left_;
    return false;
  }

  void record(bool paid) {
    skipped_ = paid ? 0 : std::min<int>(kMaxSkipped, skipped_ * 2 + 1);
    left_ = skipped_;
  }

 private:
  uint8_t skipped_ = 0;
  uint8_t left_ = 0;
};

}  // namespace eventfs
