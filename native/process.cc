#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include "addon.h"
#include "descriptor.h"
#include "system_error.h"

namespace eventfs {

static Napi::Value openPidfd(const Napi::CallbackInfo& info) {
  // By number: glibc has a wrapper since 2.36 only, musl none. The kernel sets close-on-exec itself.
  long fd = syscall(SYS_pidfd_open, info[0].As<Napi::Number>().Int32Value(), 0);
  if (fd < 0) throw systemError(info.Env(), errno, "pidfd_open");
  return Napi::Number::New(info.Env(), fd);
}

static Napi::Value raiseFileLimit(const Napi::CallbackInfo& info) {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) throw systemError(info.Env(), errno, "getrlimit");
  if (limit.rlim_cur != limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) throw systemError(info.Env(), errno, "setrlimit");
  }
  return Napi::Number::New(info.Env(), static_cast<double>(limit.rlim_cur));
}

static void sendDatagram(const Napi::CallbackInfo& info) {
  std::string path = info[0].As<Napi::String>().Utf8Value();
  std::string message = info[1].As<Napi::String>().Utf8Value();

  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) throw systemError(info.Env(), ENAMETOOLONG, "sendto");
  memcpy(address.sun_path, path.data(), path.size());
  // unix(7): an abstract name begins with a NUL and ends where the length says, without another NUL
  if (path[0] == '@') address.sun_path[0] = '\0';
  auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());

  Descriptor socketFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socketFd) throw systemError(info.Env(), errno, "socket");
  ssize_t sent = sendto(socketFd.get(), message.data(), message.size(), MSG_NOSIGNAL,
                        reinterpret_cast<const sockaddr*>(&address), length);
  if (sent < 0) throw systemError(info.Env(), errno, "sendto");
}

void exportProcess(Napi::Env env, Napi::Object exports) {
  exports.Set("openPidfd", Napi::Function::New<openPidfd>(env, "openPidfd"));
  exports.Set("raiseFileLimit", Napi::Function::New<raiseFileLimit>(env, "raiseFileLimit"));
  exports.Set("sendDatagram", Napi::Function::New<sendDatagram>(env, "sendDatagram"));
}

}  // namespace eventfs
