#pragma once

#include <napi.h>

#include "callback.h"
#include "descriptor.h"
#include "io_ring.h"
#include "poll_handle.h"
#include "shared_array.h"

namespace eventfs {

/** An epoll set of pidfds; see index.d.ts. */
class DeathWatch : public Napi::ObjectWrap<DeathWatch> {
 public:
  explicit DeathWatch(const Napi::CallbackInfo& info);

  void start(const Napi::CallbackInfo& info);
  void add(const Napi::CallbackInfo& info);
  void remove(const Napi::CallbackInfo& info);
  Napi::Value isDead(const Napi::CallbackInfo& info);
  Napi::Value drain(const Napi::CallbackInfo& info);
  void drainIfDue(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  /** How JavaScript learns of a death: callFunction or makeCallback. */
  using Call = decltype(callFunction);
  /** Drains the set. */
  uint32_t drainBy(Call& call);
  /**
   * Drains before a request is looked at or a reader is answered. Mostly no process has died. Where
   * there is io_uring(7) that costs no system call: the kernel sets a word of our memory before
   * another process can see the death (see `mayHaveDied`).
   */
  void drainBefore(Call& call) {
    if (mayHaveDied()) drainBy(call);
    else ++drains_[0];
  }

  /** The DeathWatch behind a JavaScript value; throws a TypeError when it is none. */
  static DeathWatch* from(Napi::Value value);

 private:
  static void onPoll(void* owner);
  bool mayHaveDied();
  void arm();

  Descriptor epoll_;
  /** One word that counts the drains: see index.d.ts. */
  SharedArray<uint32_t> drains_;
  /** Polls `epoll_`. */
  IoRing ring_;
  PollHandle poll_;
  Napi::FunctionReference onDeath_;
};

}  // namespace eventfs
