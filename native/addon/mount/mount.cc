#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <string>

#include "addon.h"
#include "system_error.h"

namespace eventfs {

static std::string stringArgument(const Napi::CallbackInfo& info, size_t index) {
  return info[index].As<Napi::String>().Utf8Value();
}

static Napi::Value openFuse(const Napi::CallbackInfo& info) {
  int fd = open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) throw systemError(info.Env(), errno, "open");
  return Napi::Number::New(info.Env(), fd);
}

static void mountFilesystem(const Napi::CallbackInfo& info) {
  std::string source = stringArgument(info, 0);
  std::string target = stringArgument(info, 1);
  std::string type = stringArgument(info, 2);
  unsigned long flags = info[3].As<Napi::Number>().Uint32Value();
  std::string data = stringArgument(info, 4);
  if (mount(source.c_str(), target.c_str(), type.c_str(), flags, data.c_str()) < 0) {
    throw systemError(info.Env(), errno, "mount");
  }
}

static void unmountFilesystem(const Napi::CallbackInfo& info) {
  std::string target = stringArgument(info, 0);
  int flags = info[1].As<Napi::Number>().Int32Value();
  if (umount2(target.c_str(), flags) < 0) throw systemError(info.Env(), errno, "umount2");
}

/** The longest wait for the child, in milliseconds. */
static constexpr int kChildTimeoutMs = 1000;

static void unmountApart(const Napi::CallbackInfo& info) {
  std::string target = stringArgument(info, 0);
  int flags = info[1].As<Napi::Number>().Int32Value();
  pid_t child = fork();
  if (child < 0) throw systemError(info.Env(), errno, "fork");
  if (child == 0) {
    // A descriptor that stays open here would keep its other end from seeing the end of file
    syscall(SYS_close_range, 0u, ~0u, 0u);
    _exit(umount2(target.c_str(), flags) < 0 ? errno : 0);
  }
  int status = 0;
  for (int waitedMs = 0; waitedMs < kChildTimeoutMs; ++waitedMs) {
    if (waitpid(child, &status, WNOHANG) == child) {
      if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        throw systemError(info.Env(), WEXITSTATUS(status), "umount2");
      }
      return;
    }
    timespec pause{0, 1'000'000};
    nanosleep(&pause, nullptr);
  }
}

void exportMount(Napi::Env env, Napi::Object exports) {
  exports.Set("openFuse", Napi::Function::New<openFuse>(env, "openFuse"));
  exports.Set("mount", Napi::Function::New<mountFilesystem>(env, "mount"));
  exports.Set("unmountApart", Napi::Function::New<unmountApart>(env, "unmountApart"));
  exports.Set("unmount", Napi::Function::New<unmountFilesystem>(env, "unmount"));
}

}  // namespace eventfs
