#pragma once

#include <algorithm>
#include <cstdint>

namespace eventfs {

/**
 * Whether to try again what sometimes pays off and costs something when it does not: always after it has, and after it has
 * not only once 1, then 3, 7, ... at most `kMostLetPass` chances were let pass.
 */
template <uint8_t kMostLetPass>
class Backoff {
 public:
  bool isWorthIt() {
    if (left_ == 0) return true;
    --left_;
    return false;
  }

  void hasPaid(bool paid) {
    letPass_ = paid ? 0 : std::min<int>(kMostLetPass, letPass_ * 2 + 1);
    left_ = letPass_;
  }

 private:
  uint8_t letPass_ = 0;
  uint8_t left_ = 0;
};

}  // namespace eventfs
