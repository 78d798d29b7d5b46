#pragma once

#include <unistd.h>

#include <utility>

namespace eventfs {

/** A file descriptor. The destructor closes it. */
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    reset(other.release());
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  /** Returns the descriptor and leaves it open: the caller closes it from now on. */
  int release() { return std::exchange(fd_, -1); }

  void reset(int fd = -1) {
    int old = std::exchange(fd_, fd);
    // close(2) frees the descriptor even if it fails: never call it twice
    if (old >= 0) close(old);
  }

 private:
  int fd_ = -1;
};

}  // namespace eventfs
