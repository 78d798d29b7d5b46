#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "addon.h"
#include "process/descriptor_table.h"
#include "process/pidfd_info.h"
#include "system_error.h"

namespace eventfs {

static Napi::Value openPidfd(const Napi::CallbackInfo& info) {
  // syscall(2): glibc has a wrapper only since 2.36, musl has none. The kernel sets close-on-exec.
  long fd = syscall(SYS_pidfd_open, info[0].As<Napi::Number>().Int32Value(), 0);
  if (fd < 0) throw systemError(info.Env(), errno, "pidfd_open");
  growDescriptorTableFor(static_cast<int>(fd));
  return Napi::Number::New(info.Env(), fd);
}

static constexpr int kNotReaped = -1;
static constexpr int kUnknown = -2;

static int exitStatusOf(int pidfd) {
  PidfdInfo answer{};
  // Twice: a parent may reap the process between any two of these looks. The first answer is then
  // without the status, and the process is no longer there. The kernel keeps the status before it
  // removes the process (kernel/exit.c, release_task), so the second answer has it.
  for (int attempt = 0; attempt < 2; ++attempt) {
    answer.mask = kPidfdInfoExit;
    if (askPidfd(pidfd, answer) && (answer.mask & kPidfdInfoExit) != 0) return answer.exitCode;
    // Signal 0 only checks whether the process is there: a zombie is
    bool isThere = syscall(SYS_pidfd_send_signal, pidfd, 0, nullptr, 0) == 0 || errno == EPERM;
    if (isThere) return kNotReaped;
  }
  return kUnknown;
}

static Napi::Value exitStatus(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), exitStatusOf(info[0].As<Napi::Number>().Int32Value()));
}

static Napi::Value raiseFileLimit(const Napi::CallbackInfo& info) {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) throw systemError(info.Env(), errno, "getrlimit");
  if (limit.rlim_cur != limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) throw systemError(info.Env(), errno, "setrlimit");
  }
  growDescriptorTableFor(0);
  return Napi::Number::New(info.Env(), static_cast<double>(limit.rlim_cur));
}

/** Splits "a\0b\0" into {"a", "b", nullptr}, the form of argv and envp of execve(2). */
static std::vector<char*> splitAtNuls(std::string& text) {
  std::vector<char*> parts;
  for (size_t at = 0; at < text.size(); at += strlen(&text[at]) + 1) {
    parts.push_back(&text[at]);
  }
  parts.push_back(nullptr);
  return parts;
}

static std::string bytesOf(const Napi::Value& value) {
  auto bytes = value.As<Napi::Uint8Array>();
  return std::string(reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength());
}

static void execute(const Napi::CallbackInfo& info) {
  std::string argumentText = bytesOf(info[0]);
  std::string environmentText = bytesOf(info[1]);
  std::vector<char*> arguments = splitAtNuls(argumentText);
  std::vector<char*> environment = splitAtNuls(environmentText);
  auto kept = info[2].As<Napi::Array>();
  if (arguments.size() < 2) throw systemError(info.Env(), EINVAL, "execve");

  for (uint32_t i = 0; i < kept.Length(); i++) {
    int fd = kept.Get(i).As<Napi::Number>().Int32Value();
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0) fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC);
  }
  // Node ignores these two signals, and execve(2) keeps that. It resets signals with a handler.
  signal(SIGPIPE, SIG_DFL);
  signal(SIGXFSZ, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);

  execvpe(arguments[0], arguments.data(), environment.data());
  int error = errno;
  signal(SIGPIPE, SIG_IGN);
  throw systemError(info.Env(), error, "execve");
}

static Napi::Value isWritable(const Napi::CallbackInfo& info) {
  pollfd watched{info[0].As<Napi::Number>().Int32Value(), POLLOUT, 0};
  int ready;
  do {
    ready = poll(&watched, 1, 0);
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) throw systemError(info.Env(), errno, "poll");
  return Napi::Boolean::New(info.Env(), watched.revents != 0);
}

static Napi::Value hasError(const Napi::CallbackInfo& info) {
  pollfd watched{info[0].As<Napi::Number>().Int32Value(), 0, 0};
  if (poll(&watched, 1, 0) < 0) throw systemError(info.Env(), errno, "poll");
  return Napi::Boolean::New(info.Env(), (watched.revents & POLLERR) != 0);
}

static Napi::Value tryLock(const Napi::CallbackInfo& info) {
  int fd = info[0].As<Napi::Number>().Int32Value();
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return Napi::Boolean::New(info.Env(), false);
    if (errno != EINTR) throw systemError(info.Env(), errno, "flock");
  }
  return Napi::Boolean::New(info.Env(), true);
}

static void exitNow(const Napi::CallbackInfo& info) {
  _exit(info[0].As<Napi::Number>().Int32Value());
}

void exportProcess(Napi::Env env, Napi::Object exports) {
  exports.Set("openPidfd", Napi::Function::New<openPidfd>(env, "openPidfd"));
  exports.Set("exitStatus", Napi::Function::New<exitStatus>(env, "exitStatus"));
  exports.Set("raiseFileLimit", Napi::Function::New<raiseFileLimit>(env, "raiseFileLimit"));
  exports.Set("execute", Napi::Function::New<execute>(env, "execute"));
  exports.Set("hasError", Napi::Function::New<hasError>(env, "hasError"));
  exports.Set("isWritable", Napi::Function::New<isWritable>(env, "isWritable"));
  exports.Set("tryLock", Napi::Function::New<tryLock>(env, "tryLock"));
  exports.Set("exitNow", Napi::Function::New<exitNow>(env, "exitNow"));
}

}  // namespace eventfs
