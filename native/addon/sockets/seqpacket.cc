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
#include "shared_words.h"
#include "sockets/fan_out.h"
#include "system_error.h"

namespace eventfs {

/** Fills in an address (unix(7)). Returns false if the path is too long for one. */
static bool toAddress(const std::string& path, sockaddr_un* address) {
  address->sun_family = AF_UNIX;
  if (path.size() >= sizeof(address->sun_path)) return false;
  memcpy(address->sun_path, path.data(), path.size());
  return true;
}

static Napi::Value bindSeqpacket(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string path = info[0].As<Napi::String>().Utf8Value();
  mode_t mode = info[1].As<Napi::Number>().Uint32Value();
  sockaddr_un address{};
  if (!toAddress(path, &address)) throw systemError(env, ENAMETOOLONG, "bind");

  Descriptor listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener) throw systemError(env, errno, "socket");
  // Before bind(2), which creates the file with the socket's mode less the umask. So the file never
  // has more than `mode`. chmod(2) undoes the umask.
  if (fchmod(listener.get(), mode) < 0) throw systemError(env, errno, "fchmod");
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) {
    throw systemError(env, errno, "bind");
  }
  if (chmod(path.c_str(), mode) < 0) {
    int error = errno;
    unlink(path.c_str());
    throw systemError(env, error, "chmod");
  }
  return Napi::Number::New(env, listener.release());
}

static void listenOn(const Napi::CallbackInfo& info) {
  if (listen(info[0].As<Napi::Number>().Int32Value(), SOMAXCONN) < 0) {
    throw systemError(info.Env(), errno, "listen");
  }
}

static Napi::Value probeSeqpacket(const Napi::CallbackInfo& info) {
  sockaddr_un address{};
  if (!toAddress(info[0].As<Napi::String>().Utf8Value(), &address)) {
    return Napi::Number::New(info.Env(), ENAMETOOLONG);
  }
  Descriptor probe(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) throw systemError(info.Env(), errno, "socket");
  int failed = connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  return Napi::Number::New(info.Env(), failed < 0 ? errno : 0);
}

static Napi::Value connectSeqpacket(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  sockaddr_un address{};
  if (!toAddress(info[0].As<Napi::String>().Utf8Value(), &address)) {
    throw systemError(env, ENAMETOOLONG, "connect");
  }
  Descriptor server(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!server) throw systemError(env, errno, "socket");
  if (connect(server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) {
    throw systemError(env, errno, "connect");
  }
  return Napi::Number::New(env, server.release());
}

static Napi::Value acceptSeqpacket(const Napi::CallbackInfo& info) {
  int listener = info[0].As<Napi::Number>().Int32Value();
  auto peer = info[1].As<Napi::Uint32Array>();
  int fd;
  // ECONNABORTED: that client has closed its connection already
  do {
    fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
  if (fd < 0 && errno == EAGAIN) return Napi::Number::New(info.Env(), -1);
  if (fd < 0) throw systemError(info.Env(), errno, "accept4");

  Descriptor client(fd);
  ucred credentials{};
  socklen_t length = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) {
    throw systemError(info.Env(), errno, "getsockopt");
  }
  // Adds the sender's credentials to each message: receiveSeqpacket tells empty messages by them
  int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
    throw systemError(info.Env(), errno, "setsockopt");
  }
  peer[PeerWord::pid] = static_cast<uint32_t>(credentials.pid);
  peer[PeerWord::uid] = credentials.uid;
  peer[PeerWord::gid] = credentials.gid;
  return Napi::Number::New(info.Env(), client.release());
}

/**
 * recvmsg(2) returns 0 for an empty message and for the end. A message has credentials
 * (SO_PASSCRED). They have no room here, so the kernel sets MSG_CTRUNC. The end has none
 * (net/core/scm.c, scm_recv). Without room for control data this process also receives no
 * descriptor that a client sends.
 */
static Napi::Value receiveSeqpacket(const Napi::CallbackInfo& info) {
  constexpr int kNone = -1;
  constexpr int kEnd = -2;
  auto bytes = info[1].As<Napi::Uint8Array>();
  iovec part{bytes.Data(), bytes.ByteLength()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ssize_t length;
  do {
    length = recvmsg(info[0].As<Napi::Number>().Int32Value(), &message, MSG_DONTWAIT);
  } while (length < 0 && errno == EINTR);
  if (length < 0 && errno == EAGAIN) return Napi::Number::New(info.Env(), kNone);
  if (length < 0) throw systemError(info.Env(), errno, "recvmsg");
  bool isEnd = length == 0 && (message.msg_flags & MSG_CTRUNC) == 0;
  return Napi::Number::New(info.Env(), isEnd ? kEnd : static_cast<double>(length));
}

static Napi::Value sendToAll(const Napi::CallbackInfo& info) {
  FanOut fanOut(info);
  return Napi::Number::New(info.Env(), fanOut.send(nullptr));
}

void exportSeqpacket(Napi::Env env, Napi::Object exports) {
  exports.Set("bindSeqpacket", Napi::Function::New<bindSeqpacket>(env, "bindSeqpacket"));
  exports.Set("listenOn", Napi::Function::New<listenOn>(env, "listenOn"));
  exports.Set("probeSeqpacket", Napi::Function::New<probeSeqpacket>(env, "probeSeqpacket"));
  exports.Set("connectSeqpacket", Napi::Function::New<connectSeqpacket>(env, "connectSeqpacket"));
  exports.Set("acceptSeqpacket", Napi::Function::New<acceptSeqpacket>(env, "acceptSeqpacket"));
  exports.Set("receiveSeqpacket", Napi::Function::New<receiveSeqpacket>(env, "receiveSeqpacket"));
  exports.Set("sendToAll", Napi::Function::New<sendToAll>(env, "sendToAll"));
}

}  // namespace eventfs
