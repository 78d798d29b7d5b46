#pragma once

#include <unistd.h>

#include <utility>

namespace eventfs {

/** A file descriptor that is closed with its owner. */
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

  /** Gives the descriptor up without closing it. */
  int release() { return std::exchange(fd_, -1); }

  void reset(int fd = -1) {
    int old = std::exchange(fd_, fd);
    // close(2) has freed the descriptor whatever it returns: never a second try
    if (old >= 0) close(old);
  }

 private:
  int fd_ = -1;
};

}  // namespace eventfs
