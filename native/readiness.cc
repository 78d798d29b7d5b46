#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

#include "addon.h"
#include "callback.h"
#include "descriptor.h"
#include "options.h"
#include "poll_handle.h"
#include "shared_array.h"
#include "system_error.h"

namespace eventfs {

/** An epoll set of any descriptors; see index.d.ts. */
class Readiness : public Napi::ObjectWrap<Readiness> {
 public:
  explicit Readiness(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Readiness>(info),
        ready_(optionsArgument(info), "ready"),
        onReady_(functionOption(optionsArgument(info), "onReady")) {
    if (ready_.size() < 2) throw Napi::RangeError::New(info.Env(), "ready is under two words");
    epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) throw systemError(info.Env(), errno, "epoll_create1");
    poll_.start(info.Env(), epoll_.get(), onPoll, this);
    Ref();  // the event loop holds it now, whoever else does
  }

  void add(const Napi::CallbackInfo& info) { control(info, EPOLL_CTL_ADD); }
  void change(const Napi::CallbackInfo& info) { control(info, EPOLL_CTL_MOD); }

  void remove(const Napi::CallbackInfo& info) {
    if (epoll_) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, info[0].As<Napi::Number>().Int32Value(), nullptr);
  }

  void close(const Napi::CallbackInfo&) {
    if (!epoll_) return;
    poll_.close();
    epoll_.reset();
    onReady_.Reset();
    Unref();
  }

 private:
  static constexpr int kMostAtOnce = 256;

  void control(const Napi::CallbackInfo& info, int operation) {
    epoll_event event{};
    event.data.u32 = info[1].As<Napi::Number>().Uint32Value();
    event.events = info[2].As<Napi::Number>().Uint32Value();
    if (epoll_ctl(epoll_.get(), operation, info[0].As<Napi::Number>().Int32Value(), &event) < 0) {
      throw systemError(info.Env(), errno, "epoll_ctl");
    }
  }

  static void onPoll(void* owner) {
    auto* set = static_cast<Readiness*>(owner);
    Napi::HandleScope scope(set->Env());
    [[maybe_unused]] Napi::Object self = set->Value();  // alive until here is done, even if a callback closes it
    set->report();
  }

  void report() {
    epoll_event events[kMostAtOnce];
    int most = std::min<int>(kMostAtOnce, static_cast<int>(ready_.size() / 2));
    int count = epoll_wait(epoll_.get(), events, most, 0);
    if (count <= 0) return;  // what was ready is not any more
    for (int i = 0; i < count; ++i) {
      ready_[2 * i] = events[i].data.u32;
      ready_[2 * i + 1] = events[i].events;
    }
    makeCallback(Env(), onReady_.Value(), {Napi::Number::New(Env(), count)});
  }

  Descriptor epoll_;
  PollHandle poll_;
  SharedArray<uint32_t> ready_;
  Napi::FunctionReference onReady_;
};

void exportReadiness(Napi::Env env, Napi::Object exports) {
  exports.Set("Readiness", Readiness::DefineClass(env, "Readiness",
                                                  {
                                                      Readiness::InstanceMethod<&Readiness::add>("add"),
                                                      Readiness::InstanceMethod<&Readiness::change>("change"),
                                                      Readiness::InstanceMethod<&Readiness::remove>("remove"),
                                                      Readiness::InstanceMethod<&Readiness::close>("close"),
                                                  }));
}

}  // namespace eventfs
