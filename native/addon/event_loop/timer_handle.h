#pragma once

#include <napi.h>

#include <cstdint>

namespace eventfs {

/**
 * Calls a function once, after some time (uv_timer_t). It does not keep the event loop alive.
 *
 * libuv closes a handle asynchronously. The uv_timer_t is therefore on the heap, and outlives this
 * object until libuv reports the close.
 */
class TimerHandle {
 public:
  /** Must not throw. It may call `start` again. */
  using OnTime = void (*)(void* owner);

  TimerHandle() = default;
  TimerHandle(const TimerHandle&) = delete;
  TimerHandle& operator=(const TimerHandle&) = delete;
  ~TimerHandle() { close(); }

  /** Creates the timer, which is not started yet. */
  void open(Napi::Env env, OnTime onTime, void* owner);
  /** Starts the timer, unless it runs already or is not open. */
  void start(uint64_t ms);
  void close();

 private:
  struct Running;
  Running* running_ = nullptr;
};

}  // namespace eventfs
