#include "event_loop/timer_handle.h"

#include <uv.h>

namespace eventfs {

/** The part that libuv refers to. libuv's close callback deletes it. */
struct TimerHandle::Running {
  uv_timer_t timer;
  TimerHandle* handle;
  OnTime onTime;
  void* owner;
  /** Delays the environment's teardown until libuv closes the handle: the loop must be empty. */
  napi_async_cleanup_hook_handle cleanup;

  static void onTimer(uv_timer_t* timer) {
    auto* running = static_cast<Running*>(timer->data);
    running->onTime(running->owner);
  }

  static void onClosed(uv_handle_t* timer) {
    auto* running = static_cast<Running*>(timer->data);
    if (running->cleanup != nullptr) napi_remove_async_cleanup_hook(running->cleanup);
    delete running;
  }

  static void onEnvironmentEnds(napi_async_cleanup_hook_handle, void* data) {
    // If the handle is closing already, onClosed removes the hook soon
    auto* running = static_cast<Running*>(data);
    if (running->handle != nullptr) running->handle->close();
  }
};

void TimerHandle::open(Napi::Env env, OnTime onTime, void* owner) {
  if (running_ != nullptr) return;
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  auto* running = new Running{{}, this, onTime, owner, nullptr};
  uv_timer_init(loop, &running->timer);  // never fails
  running->timer.data = running;
  uv_unref(reinterpret_cast<uv_handle_t*>(&running->timer));
  running_ = running;
  napi_add_async_cleanup_hook(env, Running::onEnvironmentEnds, running, &running->cleanup);
}

void TimerHandle::start(uint64_t ms) {
  if (running_ == nullptr || uv_is_active(reinterpret_cast<uv_handle_t*>(&running_->timer))) return;
  uv_timer_start(&running_->timer, Running::onTimer, ms, 0);
}

void TimerHandle::close() {
  if (running_ == nullptr) return;
  Running* running = running_;
  running_ = nullptr;
  running->handle = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&running->timer), Running::onClosed);
}

}  // namespace eventfs
