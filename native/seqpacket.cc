#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include "addon.h"
#include "descriptor.h"
#include "fan_out.h"
#include "system_error.h"

namespace eventfs {

/** unix(7): false when the path is too long to be an address. */
static bool toAddress(const std::string& path, sockaddr_un* address) {
  address->sun_family = AF_UNIX;
  if (path.size() >= sizeof(address->sun_path)) return false;
  memcpy(address->sun_path, path.data(), path.size());
  return true;
}

static Napi::Value listenSeqpacket(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string path = info[0].As<Napi::String>().Utf8Value();
  mode_t mode = info[1].As<Napi::Number>().Uint32Value();
  sockaddr_un address{};
  if (!toAddress(path, &address)) throw systemError(env, ENAMETOOLONG, "bind");

  Descriptor listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener) throw systemError(env, errno, "socket");
  // Before bind(2), which gives the file what the socket has: nobody may connect in between. chmod(2) undoes the umask.
  if (fchmod(listener.get(), mode) < 0) throw systemError(env, errno, "fchmod");
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) {
    throw systemError(env, errno, "bind");
  }
  if (chmod(path.c_str(), mode) < 0 || listen(listener.get(), SOMAXCONN) < 0) {
    int error = errno;
    unlink(path.c_str());
    throw systemError(env, error, "listen");
  }
  return Napi::Number::New(env, listener.release());
}

static Napi::Value probeSeqpacket(const Napi::CallbackInfo& info) {
  sockaddr_un address{};
  if (!toAddress(info[0].As<Napi::String>().Utf8Value(), &address)) return Napi::Number::New(info.Env(), ENAMETOOLONG);
  Descriptor probe(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) throw systemError(info.Env(), errno, "socket");
  int failed = connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  return Napi::Number::New(info.Env(), failed < 0 ? errno : 0);
}

static Napi::Value acceptSeqpacket(const Napi::CallbackInfo& info) {
  int listener = info[0].As<Napi::Number>().Int32Value();
  auto peer = info[1].As<Napi::Uint32Array>();
  int fd;
  // ECONNABORTED: that one has gone already
  do fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
  if (fd < 0 && errno == EAGAIN) return Napi::Number::New(info.Env(), -1);
  if (fd < 0) throw systemError(info.Env(), errno, "accept4");

  Descriptor client(fd);
  ucred credentials{};
  socklen_t length = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) {
    throw systemError(info.Env(), errno, "getsockopt");
  }
  // Each message brings its sender's credentials then: see receiveSeqpacket.
  int yes = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) < 0) throw systemError(info.Env(), errno, "setsockopt");
  peer[0] = static_cast<uint32_t>(credentials.pid);
  peer[1] = credentials.uid;
  peer[2] = credentials.gid;
  return Napi::Number::New(info.Env(), client.release());
}

/*
 * recvmsg(2) gives 0 for an empty message and for the end. A message has credentials (SO_PASSCRED), and as there is no
 * room for them here, the kernel says with MSG_CTRUNC that there were some; the end has none (net/core/scm.c, scm_recv).
 * Without room for control data no descriptor is taken over either, whatever a client sends.
 */
static Napi::Value receiveSeqpacket(const Napi::CallbackInfo& info) {
  constexpr int kNothingThere = -1;
  constexpr int kNothingMore = -2;
  auto bytes = info[1].As<Napi::Uint8Array>();
  iovec part{bytes.Data(), bytes.ByteLength()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ssize_t length;
  do length = recvmsg(info[0].As<Napi::Number>().Int32Value(), &message, MSG_DONTWAIT);
  while (length < 0 && errno == EINTR);
  if (length < 0 && errno == EAGAIN) return Napi::Number::New(info.Env(), kNothingThere);
  if (length < 0) throw systemError(info.Env(), errno, "recvmsg");
  bool isEnd = length == 0 && (message.msg_flags & MSG_CTRUNC) == 0;
  return Napi::Number::New(info.Env(), isEnd ? kNothingMore : static_cast<double>(length));
}

static Napi::Value sendToAll(const Napi::CallbackInfo& info) {
  FanOut fanOut(info);
  return Napi::Number::New(info.Env(), fanOut.send(nullptr));
}

void exportSeqpacket(Napi::Env env, Napi::Object exports) {
  exports.Set("listenSeqpacket", Napi::Function::New<listenSeqpacket>(env, "listenSeqpacket"));
  exports.Set("probeSeqpacket", Napi::Function::New<probeSeqpacket>(env, "probeSeqpacket"));
  exports.Set("acceptSeqpacket", Napi::Function::New<acceptSeqpacket>(env, "acceptSeqpacket"));
  exports.Set("receiveSeqpacket", Napi::Function::New<receiveSeqpacket>(env, "receiveSeqpacket"));
  exports.Set("sendToAll", Napi::Function::New<sendToAll>(env, "sendToAll"));
}

}  // namespace eventfs
