#pragma once

#include <napi.h>

namespace eventfs {

/**
 * Watches a descriptor for readability in Node's event loop (uv_poll_t). libuv closes a handle asynchronously, so the
 * uv_poll_t is on the heap and outlives this object until libuv has let go of it, at the end of the process too.
 */
class PollHandle {
 public:
  /** Called while the descriptor is readable, has hung up or has an error to tell. Must not throw. */
  using OnReadable = void (*)(void* owner);

  PollHandle() = default;
  PollHandle(const PollHandle&) = delete;
  PollHandle& operator=(const PollHandle&) = delete;
  ~PollHandle() { close(); }

  /** Starts to watch `fd`, which libuv makes non-blocking, and keeps the event loop alive; throws a SystemError. */
  void start(Napi::Env env, int fd, OnReadable onReadable, void* owner);
  bool isActive() const { return watched_ != nullptr; }
  /** Stops at once: `fd` may be closed right after. */
  void close();

 private:
  struct Watched;
  Watched* watched_ = nullptr;
};

}  // namespace eventfs
