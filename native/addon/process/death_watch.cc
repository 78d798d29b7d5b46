#include "process/death_watch.h"

#include <poll.h>
#include <sys/epoll.h>

#include <cerrno>

#include "addon.h"
#include "options.h"
#include "system_error.h"

namespace eventfs {

/** Marks a DeathWatch, because napi_unwrap accepts an object of any class. A random UUID. */
static const napi_type_tag kDeathWatchTag = {0x5d6a1f0c9b8e4f27, 0x9f3c7be21a604d58};

static constexpr uint32_t kRingEntries = 2;

DeathWatch::DeathWatch(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<DeathWatch>(info), drains_(optionsArgument(info), "drains") {
  if (drains_.size() < DrainWord::count) {
    throw Napi::RangeError::New(info.Env(), "drains has no word");
  }
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) throw systemError(info.Env(), errno, "epoll_create1");
  if (ring_.open(kRingEntries)) arm();
  onDeath_ = functionOption(optionsArgument(info), "onDeath");
  info.This().As<Napi::Object>().TypeTag(&kDeathWatchTag);
}

DeathWatch* DeathWatch::from(Napi::Value value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kDeathWatchTag)) {
    throw Napi::TypeError::New(value.Env(), "deaths must be a DeathWatch");
  }
  return Unwrap(value.As<Napi::Object>());
}

void DeathWatch::start(const Napi::CallbackInfo& info) {
  if (poll_.isActive()) return;
  if (!epoll_) throw systemError(info.Env(), EBADF, "epoll_ctl");
  poll_.start(info.Env(), epoll_.get(), onPoll, this);
  Ref();  // keeps this alive while the event loop refers to it
}

void DeathWatch::add(const Napi::CallbackInfo& info) {
  int pidfd = info[0].As<Napi::Number>().Int32Value();
  epoll_event event{};
  // The kernel reports each pidfd once. A pidfd stays readable forever, and a report has the token
  // but not the descriptor, which EPOLL_CTL_DEL needs.
  event.events = EPOLLIN | EPOLLONESHOT;
  event.data.u64 = static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value());
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, pidfd, &event) < 0) {
    throw systemError(info.Env(), errno, "epoll_ctl");
  }
}

void DeathWatch::remove(const Napi::CallbackInfo& info) {
  int pidfd = info[0].As<Napi::Number>().Int32Value();
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, pidfd, nullptr) == 0) return;
  if (errno != ENOENT) throw systemError(info.Env(), errno, "epoll_ctl");
}

Napi::Value DeathWatch::isDead(const Napi::CallbackInfo& info) {
  pollfd watched{info[0].As<Napi::Number>().Int32Value(), POLLIN, 0};
  int ready;
  do {
    ready = poll(&watched, 1, 0);
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) throw systemError(info.Env(), errno, "poll");
  if (watched.revents & POLLNVAL) throw systemError(info.Env(), EBADF, "poll");
  return Napi::Boolean::New(info.Env(), (watched.revents & (POLLIN | POLLHUP)) != 0);
}

Napi::Value DeathWatch::drain(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), drainBy(callFunction));
}

void DeathWatch::drainIfDue(const Napi::CallbackInfo&) {
  if (epoll_) drainBefore(callFunction);
}

uint32_t DeathWatch::drainBy(Call& call) {
  uint32_t dead = 0;
  // One at a time: a callback may remove another dead process, or close the set
  while (epoll_) {
    epoll_event event;
    int found = epoll_wait(epoll_.get(), &event, 1, 0);
    if (found == 0) break;
    if (found < 0 && errno == EINTR) continue;
    if (found < 0) break;
    ++dead;
    Napi::HandleScope scope(Env());
    call(Env(), onDeath_.Value(), {Napi::Number::New(Env(), static_cast<double>(event.data.u64))});
  }
  if (epoll_) ++drains_[DrainWord::drains];
  return dead;
}

/**
 * Returns whether a process of the set may have died since the last call.
 *
 * A dying process wakes the pollers of its pidfd before its parent can wait(2) for it. The wake-up
 * reaches the epoll set, and through that the ring's poll request (kernel/exit.c, do_notify_pidfd;
 * fs/eventpoll.c, ep_poll_callback; io_uring/poll.c, io_poll_wake). So the kernel sets the flag
 * IORING_SQ_TASKRUN at once, in the dying process's own context. The flag is set before a client
 * that knows of the death can send a request.
 */
bool DeathWatch::mayHaveDied() {
  if (!ring_.isOpen()) return true;
  if (!ring_.hasWork()) return false;
  // First, so that a death during the drain sets the word again
  ring_.enter(IORING_ENTER_GETEVENTS);
  bool isArmed = true;
  ring_.complete(
      [&isArmed](const io_uring_cqe& cqe) { isArmed = (cqe.flags & IORING_CQE_F_MORE) != 0; });
  if (!isArmed) arm();
  return true;
}

/** Polls the set (IORING_OP_POLL_ADD, multishot). If that fails, each drain makes a system call. */
void DeathWatch::arm() {
  io_uring_sqe* sqe = ring_.next();
  sqe->opcode = IORING_OP_POLL_ADD;
  sqe->fd = epoll_.get();
  sqe->poll32_events = EPOLLIN;
  sqe->len = IORING_POLL_ADD_MULTI;
  if (ring_.submit() != 1) ring_.close();
}

void DeathWatch::onPoll(void* owner) {
  auto* watch = static_cast<DeathWatch*>(owner);
  Napi::HandleScope scope(watch->Env());
  // Keeps the object alive during the drain, even if a callback closes it
  [[maybe_unused]] Napi::Object self = watch->Value();
  watch->drainBy(makeCallback);
}

void DeathWatch::stop(const Napi::CallbackInfo&) {
  if (!poll_.isActive()) return;
  poll_.close();
  Unref();
}

void DeathWatch::close(const Napi::CallbackInfo&) {
  if (!epoll_) return;
  bool isStarted = poll_.isActive();
  poll_.close();
  ring_.close();
  epoll_.reset();
  onDeath_.Reset();
  drains_.release();
  if (isStarted) Unref();
}

void exportDeathWatch(Napi::Env env, Napi::Object exports) {
  using Watch = DeathWatch;
  exports.Set("DeathWatch",
              Watch::DefineClass(env, "DeathWatch",
                                 {
                                     Watch::InstanceMethod<&Watch::start>("start"),
                                     Watch::InstanceMethod<&Watch::stop>("stop"),
                                     Watch::InstanceMethod<&Watch::add>("add"),
                                     Watch::InstanceMethod<&Watch::remove>("remove"),
                                     Watch::InstanceMethod<&Watch::isDead>("isDead"),
                                     Watch::InstanceMethod<&Watch::drain>("drain"),
                                     Watch::InstanceMethod<&Watch::drainIfDue>("drainIfDue"),
                                     Watch::InstanceMethod<&Watch::close>("close"),
                                 }));
}

}  // namespace eventfs
