#pragma once

#include <napi.h>

#include "callback.h"
#include "descriptor.h"
#include "poll_handle.h"

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
  void close(const Napi::CallbackInfo& info);

  /** How JavaScript learns of a death: callFunction or makeCallback. */
  using Call = decltype(callFunction);
  /** Drains the set; from C++ before every request too, where it is one system call when nothing has died. */
  uint32_t drainBy(Call& call);

  /** The DeathWatch behind a JavaScript value; throws a TypeError when it is none. */
  static DeathWatch* from(Napi::Value value);

 private:
  static void onPoll(void* owner);

  Descriptor epoll_;
  PollHandle poll_;
  Napi::FunctionReference onDeath_;
};

}  // namespace eventfs
