#include <fcntl.h>
#include <napi.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "addon.h"
#include "process/call_worker.h"

namespace eventfs {

namespace {

/** A path as bytes. */
std::string pathOf(const Napi::Value& value) {
  if (!value.IsTypedArray()) throw Napi::TypeError::New(value.Env(), "path must be a Uint8Array");
  auto bytes = value.As<Napi::Uint8Array>();
  return std::string(reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength());
}

}  // namespace

/** Makes system calls in a thread of its own; see index.d.ts. */
class CallThread : public Napi::ObjectWrap<CallThread> {
 public:
  explicit CallThread(const Napi::CallbackInfo& info) : Napi::ObjectWrap<CallThread>(info) {
    auto worker = std::make_shared<Worker>(info.Env());
    Worker::start(info.Env(), worker);
    worker_ = std::move(worker);
  }

  ~CallThread() override {
    if (worker_) worker_->close();
  }

  Napi::Value open(const Napi::CallbackInfo& info) {
    std::string path = pathOf(info[0]);
    int flags = info[1].As<Napi::Number>().Int32Value();
    return add(info, "open",
               [path, flags](Worker& by, Call&) { return by.open(path.c_str(), flags); });
  }

  Napi::Value read(const Napi::CallbackInfo& info) {
    int fd = info[0].As<Napi::Number>().Int32Value();
    uint32_t size = info[1].As<Napi::Number>().Uint32Value();
    return add(info, "read", [fd, size](Worker& by, Call& call) {
      call.returnsBytes = true;
      return by.read(fd, size, &call.bytes);
    });
  }

  Napi::Value write(const Napi::CallbackInfo& info) {
    int fd = info[0].As<Napi::Number>().Int32Value();
    std::string bytes = pathOf(info[1]);
    return add(info, "write", [fd, bytes = std::move(bytes)](Worker&, Call&) {
      ssize_t written = ::write(fd, bytes.data(), bytes.size());
      return written < 0 ? -static_cast<long>(errno) : static_cast<long>(written);
    });
  }

  Napi::Value release(const Napi::CallbackInfo& info) {
    int fd = info[0].As<Napi::Number>().Int32Value();
    return add(info, "close", [fd](Worker& by, Call&) { return by.release(fd); });
  }

  Napi::Value mkdir(const Napi::CallbackInfo& info) {
    std::string path = pathOf(info[0]);
    mode_t mode = info[1].As<Napi::Number>().Uint32Value();
    return add(info, "mkdir", [path, mode](Worker& by, Call&) { return by.mkdir(path, mode); });
  }

  Napi::Value rmdir(const Napi::CallbackInfo& info) {
    std::string path = pathOf(info[0]);
    return add(info, "rmdir", [path](Worker& by, Call&) { return by.rmdir(path); });
  }

  Napi::Value statfs(const Napi::CallbackInfo& info) {
    std::string path = pathOf(info[0]);
    return add(info, "statfs", [path](Worker&, Call&) {
      struct statfs found;
      return ::statfs(path.c_str(), &found) < 0 ? -static_cast<long>(errno)
                                                : static_cast<long>(found.f_type);
    });
  }

  void close(const Napi::CallbackInfo& info) {
    if (!worker_) return;
    worker_->unref(info.Env());
    worker_->close();
    worker_.reset();
  }

 private:
  Napi::Value add(const Napi::CallbackInfo& info, const char* syscall, Call::Run run) {
    auto call = std::make_unique<Call>(info.Env(), syscall, std::move(run));
    Napi::Promise promise = call->promise.Promise();
    if (worker_) worker_->add(std::move(call));
    else call->promise.Reject(systemError(info.Env(), ECANCELED, syscall).Value());
    return promise;
  }

  std::shared_ptr<Worker> worker_;
};

void exportCallThread(Napi::Env env, Napi::Object exports) {
  using Thread = CallThread;
  exports.Set("CallThread",
              Thread::DefineClass(env, "CallThread",
                                  {
                                      Thread::InstanceMethod<&Thread::open>("open"),
                                      Thread::InstanceMethod<&Thread::read>("read"),
                                      Thread::InstanceMethod<&Thread::write>("write"),
                                      Thread::InstanceMethod<&Thread::release>("release"),
                                      Thread::InstanceMethod<&Thread::mkdir>("mkdir"),
                                      Thread::InstanceMethod<&Thread::rmdir>("rmdir"),
                                      Thread::InstanceMethod<&Thread::statfs>("statfs"),
                                      Thread::InstanceMethod<&Thread::close>("close"),
                                  }));
}

}  // namespace eventfs
