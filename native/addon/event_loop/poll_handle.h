#pragma once

#include <napi.h>

namespace eventfs {

/**
 * Watches a descriptor for readability in Node's event loop (uv_poll_t).
 *
 * libuv closes a handle asynchronously. The uv_poll_t is therefore on the heap, and outlives this
 * object until libuv reports the close.
 */
class PollHandle {
 public:
  /** Runs while the descriptor is readable, hung up or in an error state. Must not throw. */
  using OnReadable = void (*)(void* owner);

  PollHandle() = default;
  PollHandle(const PollHandle&) = delete;
  PollHandle& operator=(const PollHandle&) = delete;
  ~PollHandle() { close(); }

  /**
   * Watches `fd`, which libuv makes non-blocking, and keeps the event loop alive.
   * Throws a SystemError.
   */
  void start(Napi::Env env, int fd, OnReadable onReadable, void* owner);
  bool isActive() const { return watched_ != nullptr; }
  /** Stops at once: the caller may close `fd` right after. */
  void close();

 private:
  struct Watched;
  Watched* watched_ = nullptr;
};

}  // namespace eventfs
