#pragma once

#include <fcntl.h>
#include <napi.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "addon.h"
#include "descriptor.h"
#include "system_error.h"

namespace eventfs {

/** Enough for the system calls below, with room for the thread-local memory of Node's libraries. */
static constexpr size_t kStackBytes = 512 * 1024;

/**
 * How long to wait after a poll(2) that reports data where read(2) finds none: fuse-native reports
 * every file as readable.
 */
static constexpr int kLeastRetryMs = 1;
static constexpr int kMostRetryMs = 64;

class Worker;

/** One system call: made in the thread, reported in the event loop. */
struct Call {
  using Run = std::function<long(Worker&, Call&)>;

  Call(Napi::Env env, const char* name, Run work)
      : promise(Napi::Promise::Deferred::New(env)), syscall(name), run(std::move(work)) {}

  Napi::Promise::Deferred promise;
  const char* syscall;
  /** Returns the result, or a negative errno. */
  Run run;
  long outcome = -ECANCELED;
  /** The bytes that a read returned; they are the result of the promise then. */
  std::vector<uint8_t> bytes;
  bool returnsBytes = false;
};

inline void settlePromise(Napi::Env env, const Call& call) {
  if (call.outcome < 0) {
    auto error = static_cast<int>(-call.outcome);
    call.promise.Reject(systemError(env, error, call.syscall).Value());
  } else if (call.returnsBytes) {
    call.promise.Resolve(Napi::Buffer<uint8_t>::Copy(env, call.bytes.data(), call.bytes.size()));
  } else {
    call.promise.Resolve(Napi::Number::New(env, static_cast<double>(call.outcome)));
  }
}

inline void settle(Napi::Env env, Napi::Function, void*, Call* made) {
  std::unique_ptr<Call> call(made);
  if (static_cast<napi_env>(env) == nullptr) return;  // the environment has ended
  Napi::HandleScope scope(env);
  try {
    settlePromise(env, *call);
  } catch (const Napi::Error&) {
    // A worker thread that is terminated can't run JavaScript, and has no reader of the promise
  }
}

using Report = Napi::TypedThreadSafeFunction<void, Call, settle>;

/** The part that the thread uses. It outlives the JavaScript object if a daemon does not answer. */
class Worker {
 public:
  /** Throws a SystemError. */
  explicit Worker(Napi::Env env) : wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!wake_) throw systemError(env, errno, "eventfd");
  }

  /** Starts the thread, which keeps `worker` alive. Throws a SystemError. */
  static void start(Napi::Env env, const std::shared_ptr<Worker>& worker) {
    auto* reported = new std::shared_ptr<Worker>(worker);
    worker->report_ = Report::New(env, "eventfs.CallThread", 0, 1, nullptr, onReportGone, reported);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, kStackBytes);
    // Node's main thread handles the signals
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    auto* kept = new std::shared_ptr<Worker>(worker);
    pthread_t thread;
    int error = pthread_create(&thread, &attributes, main, kept);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    if (error == 0) return;
    delete kept;
    worker->report_.Release();
    throw systemError(env, error, "pthread_create");
  }

  void add(std::unique_ptr<Call> call) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      calls_.push_back(std::move(call));
    }
    // Without the lock: a thread that runs at once on this CPU would sleep again to wait for it
    hasWork_.notify_one();
  }

  /** Ends the thread after the calls that wait. Reads fail with ECANCELED from now on. */
  void close() {
    std::lock_guard<std::mutex> lock(mutex_);
    isClosing_ = true;
    hasWork_.notify_one();
    eventfd_write(wake_.get(), 1);
  }

  /** Lets the event loop end although the thread runs. Call it before `close`. */
  void unref(Napi::Env env) { report_.Unref(env); }

  long open(const char* path, int flags) {
    Descriptor file(::open(path, flags | O_CLOEXEC));
    if (!file) return -errno;
    int fd = file.get();
    files_.push_back(std::move(file));
    return fd;
  }

  /** Closes a file that `open` has opened. */
  long release(int fd) {
    auto found = std::find_if(files_.begin(), files_.end(),
                              [fd](const Descriptor& file) { return file.get() == fd; });
    if (found == files_.end()) return -EBADF;
    // close(2) frees the descriptor even if it fails
    int error = ::close(found->release()) < 0 ? errno : 0;
    files_.erase(found);
    return -error;
  }

  long mkdir(const std::string& path, mode_t mode) {
    if (::mkdir(path.c_str(), mode) < 0) return -errno;
    directories_.push_back(path);
    return 0;
  }

  long rmdir(const std::string& path) {
    if (::rmdir(path.c_str()) < 0) return -errno;
    directories_.erase(std::remove(directories_.begin(), directories_.end(), path),
                       directories_.end());
    return 0;
  }

  /** Waits for data, and reads once. */
  long read(int fd, size_t size, std::vector<uint8_t>* bytes) {
    buffer_.resize(std::max(buffer_.size(), size));
    for (int retryMs = kLeastRetryMs;; retryMs = std::min(2 * retryMs, kMostRetryMs)) {
      pollfd ready[] = {{wake_.get(), POLLIN, 0}, {fd, POLLIN, 0}};
      if (poll(ready, 2, -1) < 0 && errno != EINTR) return -errno;
      if (ready[0].revents != 0) return -ECANCELED;
      ssize_t got = ::read(fd, buffer_.data(), size);
      if (got >= 0) {
        bytes->assign(buffer_.begin(), buffer_.begin() + got);
        return got;
      }
      if (errno != EAGAIN && errno != EINTR) return -errno;
      if (poll(ready, 1, retryMs) > 0) return -ECANCELED;
    }
  }

 private:
  static void* main(void* argument) {
    std::unique_ptr<std::shared_ptr<Worker>> kept(static_cast<std::shared_ptr<Worker>*>(argument));
    (*kept)->work();
    return nullptr;
  }

  /** Node frees the function, also while the thread runs: at the end of a worker thread. */
  static void onReportGone(Napi::Env, std::shared_ptr<Worker>* reported, void*) {
    std::unique_ptr<std::shared_ptr<Worker>> kept(reported);
    std::lock_guard<std::mutex> lock((*kept)->reportMutex_);
    (*kept)->canReport_ = false;
  }

  void work() {
    while (std::unique_ptr<Call> call = next()) {
      call->outcome = call->run(*this, *call);
      report(std::move(call));
    }
    files_.clear();
    // A worker thread of Node that is terminated runs no JavaScript. Its process goes on, and a
    // queue without a reader would fill.
    for (const std::string& path : directories_) ::rmdir(path.c_str());
    std::lock_guard<std::mutex> lock(reportMutex_);
    if (canReport_) report_.Release();
  }

  void report(std::unique_ptr<Call> call) {
    std::lock_guard<std::mutex> lock(reportMutex_);
    // The queue has no bound, so the call does not block
    if (canReport_ && report_.BlockingCall(call.get()) == napi_ok) call.release();
    else canReport_ = false;  // the environment ends, and no longer counts the thread
  }

  /** Waits for the next call; null once the thread is to end. */
  std::unique_ptr<Call> next() {
    std::unique_lock<std::mutex> lock(mutex_);
    hasWork_.wait(lock, [this] { return isClosing_ || !calls_.empty(); });
    if (calls_.empty()) return nullptr;
    std::unique_ptr<Call> call = std::move(calls_.front());
    calls_.pop_front();
    return call;
  }

  Descriptor wake_;
  Report report_;
  std::mutex reportMutex_;
  /** Guarded by reportMutex_. */
  bool canReport_ = true;
  /** Guards `calls_` and `isClosing_`. */
  std::mutex mutex_;
  std::condition_variable hasWork_;
  std::deque<std::unique_ptr<Call>> calls_;
  bool isClosing_ = false;

  // Only the thread uses these
  std::vector<Descriptor> files_;
  std::vector<std::string> directories_;
  std::vector<uint8_t> buffer_;
};

}  // namespace eventfs
