#include "event_loop/poll_handle.h"

#include <uv.h>

#include "system_error.h"

namespace eventfs {

/** The part that libuv refers to. libuv's close callback deletes it. */
struct PollHandle::Watched {
  uv_poll_t poll;
  PollHandle* handle;
  OnReadable onReadable;
  void* owner;
  /** Delays the environment's teardown until libuv closes the handle: the loop must be empty. */
  napi_async_cleanup_hook_handle cleanup;

  static void onPoll(uv_poll_t* poll, int status, int /* events */) {
    auto* watched = static_cast<Watched*>(poll->data);
    // libuv stops the watch on EPOLLERR. Here EPOLLERR only announces a read(2) that fails with the
    // reason (ENOBUFS on netlink, ENODEV on /dev/fuse), so the watch stays, level-triggered.
    if (status < 0) uv_poll_start(poll, UV_READABLE, onPoll);
    watched->onReadable(watched->owner);
  }

  static void onClosed(uv_handle_t* poll) {
    auto* watched = static_cast<Watched*>(poll->data);
    if (watched->cleanup != nullptr) napi_remove_async_cleanup_hook(watched->cleanup);
    delete watched;
  }

  static void onEnvironmentEnds(napi_async_cleanup_hook_handle, void* data) {
    // If the handle is closing already, onClosed removes the hook soon
    auto* watched = static_cast<Watched*>(data);
    if (watched->handle != nullptr) watched->handle->close();
  }
};

void PollHandle::start(Napi::Env env, int fd, OnReadable onReadable, void* owner) {
  if (isActive()) return;
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);

  auto* watched = new Watched{{}, this, onReadable, owner, nullptr};
  int status = uv_poll_init(loop, &watched->poll, fd);
  if (status < 0) {
    delete watched;  // libuv does not refer to it
    throw systemError(env, -status, "epoll_ctl");
  }
  watched->poll.data = watched;
  watched_ = watched;
  napi_add_async_cleanup_hook(env, Watched::onEnvironmentEnds, watched, &watched->cleanup);
  status = uv_poll_start(&watched->poll, UV_READABLE, Watched::onPoll);
  if (status < 0) {
    close();
    throw systemError(env, -status, "epoll_ctl");
  }
}

void PollHandle::close() {
  if (!isActive()) return;
  Watched* watched = watched_;
  watched_ = nullptr;
  watched->handle = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&watched->poll), Watched::onClosed);
}

}  // namespace eventfs
