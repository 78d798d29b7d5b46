#include "addon.h"
#include "callback.h"
#include "event_loop/poll_handle.h"

namespace eventfs {

/** Watches one descriptor in the event loop; see index.d.ts. */
class ReadableWatch : public Napi::ObjectWrap<ReadableWatch> {
 public:
  explicit ReadableWatch(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ReadableWatch>(info) {
    int fd = info[0].As<Napi::Number>().Int32Value();
    if (!info[1].IsFunction()) {
      throw Napi::TypeError::New(info.Env(), "onReadable must be a function");
    }
    onReadable_ = Napi::Persistent(info[1].As<Napi::Function>());
    poll_.start(info.Env(), fd, onPoll, this);
    Ref();  // keeps this alive while the event loop refers to it
  }

  void close(const Napi::CallbackInfo&) {
    if (!poll_.isActive()) return;
    poll_.close();
    onReadable_.Reset();
    Unref();
  }

 private:
  static void onPoll(void* owner) {
    auto* watch = static_cast<ReadableWatch*>(owner);
    Napi::HandleScope scope(watch->Env());
    makeCallback(watch->Env(), watch->onReadable_.Value(), {});
  }

  PollHandle poll_;
  Napi::FunctionReference onReadable_;
};

void exportReadableWatch(Napi::Env env, Napi::Object exports) {
  using Watch = ReadableWatch;
  exports.Set("ReadableWatch", Watch::DefineClass(env, "ReadableWatch",
                                                  {Watch::InstanceMethod<&Watch::close>("close")}));
}

}  // namespace eventfs
