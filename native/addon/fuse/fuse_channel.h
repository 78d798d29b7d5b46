#pragma once

#include <napi.h>

#include "fuse/request_handler.h"
#include "fuse/serve_loop.h"

namespace eventfs {

/** The JavaScript interface of a ServeLoop on one /dev/fuse descriptor; see index.d.ts. */
class FuseChannel : public Napi::ObjectWrap<FuseChannel>, private ServeLoop::Owner {
 public:
  explicit FuseChannel(const Napi::CallbackInfo& info);

  void start(const Napi::CallbackInfo& info);
  void pause(const Napi::CallbackInfo& info);
  void dropAhead(const Napi::CallbackInfo& info);
  Napi::Value serve(const Napi::CallbackInfo& info);
  void serveTurn(const Napi::CallbackInfo& info);
  void answer(const Napi::CallbackInfo& info);
  void uncork(const Napi::CallbackInfo& info);
  void fail(const Napi::CallbackInfo& info);
  Napi::Value notify(const Napi::CallbackInfo& info);
  Napi::Value prepareRing(const Napi::CallbackInfo& info);
  Napi::Value usesRing(const Napi::CallbackInfo& info);
  void expectBlocked(const Napi::CallbackInfo& info);
  Napi::Value starvedQueue(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

 private:
  void onReleased() override;
  uint64_t parkedUnique(Napi::Env env, uint32_t slot) const;

  RequestHandler handler_;
  ServeLoop loop_;
  /** The event loop keeps this object alive. */
  bool isReferenced_ = false;
};

}  // namespace eventfs
