#pragma once

#include <napi.h>

#include "callback.h"
#include "descriptor.h"
#include "event_loop/poll_handle.h"
#include "io_uring/io_ring.h"
#include "shared_array.h"
#include "shared_words.h"

namespace eventfs {

/** An epoll set of pidfds; see index.d.ts. */
class DeathWatch : public Napi::ObjectWrap<DeathWatch> {
 public:
  explicit DeathWatch(const Napi::CallbackInfo& info);

  void start(const Napi::CallbackInfo& info);
  void stop(const Napi::CallbackInfo& info);
  void add(const Napi::CallbackInfo& info);
  void remove(const Napi::CallbackInfo& info);
  Napi::Value isDead(const Napi::CallbackInfo& info);
  Napi::Value drain(const Napi::CallbackInfo& info);
  void drainIfDue(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  /** The way to call `onDeath`: callFunction or makeCallback. */
  using Call = decltype(callFunction);
  /** Reports all processes that have died. Returns how many there were. */
  uint32_t drainBy(Call& call);
  /**
   * Drains the deaths before a request is handled or a reader is answered. Mostly no process has
   * died. With io_uring(7) the check then costs no system call: the kernel sets a word in memory
   * before another process can see the death (`mayHaveDied`).
   */
  void drainBefore(Call& call) {
    if (mayHaveDied()) drainBy(call);
    else ++drains_[DrainWord::drains];
  }

  /**
   * Returns the DeathWatch that a JavaScript value wraps; throws a TypeError if it is another
   * value.
   */
  static DeathWatch* from(Napi::Value value);

 private:
  static void onPoll(void* owner);
  bool mayHaveDied();
  void arm();

  Descriptor epoll_;
  /** The words of DrainWord. */
  SharedArray<uint32_t> drains_;
  /** Polls `epoll_`. */
  IoRing ring_;
  PollHandle poll_;
  Napi::FunctionReference onDeath_;
};

}  // namespace eventfs
