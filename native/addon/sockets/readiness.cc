#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

#include "addon.h"
#include "callback.h"
#include "descriptor.h"
#include "event_loop/poll_handle.h"
#include "options.h"
#include "shared_array.h"
#include "shared_words.h"
#include "system_error.h"

namespace eventfs {

/** An epoll set in the event loop; see index.d.ts. */
class Readiness : public Napi::ObjectWrap<Readiness> {
 public:
  explicit Readiness(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Readiness>(info),
        ready_(optionsArgument(info), "ready"),
        onReady_(functionOption(optionsArgument(info), "onReady")) {
    if (ready_.size() < ReadyWord::count) {
      throw Napi::RangeError::New(info.Env(), "ready has fewer than ReadyWord.count words");
    }
    epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) throw systemError(info.Env(), errno, "epoll_create1");
    poll_.start(info.Env(), epoll_.get(), onPoll, this);
    Ref();  // keeps this alive while the event loop refers to it
  }

  void add(const Napi::CallbackInfo& info) { control(info, EPOLL_CTL_ADD); }
  void change(const Napi::CallbackInfo& info) { control(info, EPOLL_CTL_MOD); }

  void remove(const Napi::CallbackInfo& info) {
    int fd = info[0].As<Napi::Number>().Int32Value();
    if (epoll_) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  }

  void close(const Napi::CallbackInfo&) {
    if (!epoll_) return;
    poll_.close();
    epoll_.reset();
    onReady_.Reset();
    Unref();
  }

 private:
  static constexpr int kMaxAtOnce = 256;

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
    // Keeps the object alive during the call, even if a callback closes it
    [[maybe_unused]] Napi::Object self = set->Value();
    set->report();
  }

  void report() {
    epoll_event events[kMaxAtOnce];
    size_t room = std::min<size_t>(kMaxAtOnce, ready_.size() / ReadyWord::count);
    int count = epoll_wait(epoll_.get(), events, static_cast<int>(room), 0);
    if (count <= 0) return;  // no descriptor is ready any more
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      uint32_t* words = ready_.data() + ReadyWord::count * i;
      words[ReadyWord::token] = events[i].data.u32;
      words[ReadyWord::events] = events[i].events;
    }
    makeCallback(Env(), onReady_.Value(), {Napi::Number::New(Env(), count)});
  }

  Descriptor epoll_;
  PollHandle poll_;
  SharedArray<uint32_t> ready_;
  Napi::FunctionReference onReady_;
};

void exportReadiness(Napi::Env env, Napi::Object exports) {
  exports.Set("Readiness",
              Readiness::DefineClass(env, "Readiness",
                                     {
                                         Readiness::InstanceMethod<&Readiness::add>("add"),
                                         Readiness::InstanceMethod<&Readiness::change>("change"),
                                         Readiness::InstanceMethod<&Readiness::remove>("remove"),
                                         Readiness::InstanceMethod<&Readiness::close>("close"),
                                     }));
}

}  // namespace eventfs
