#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

#include "addon.h"
#include "sockets/rights.h"
#include "system_error.h"

namespace eventfs {

static Napi::Value socketPair(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
    throw systemError(env, errno, "socketpair");
  }
  Napi::Array pair = Napi::Array::New(env, 2);
  for (uint32_t i = 0; i < 2; ++i) pair.Set(i, Napi::Number::New(env, ends[i]));
  return pair;
}

static Napi::Value receiveDescriptor(const Napi::CallbackInfo& info) {
  int socketFd = info[0].As<Napi::Number>().Int32Value();
  char byte;
  iovec part{&byte, sizeof(byte)};
  RightsControl control;
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes;
  header.msg_controllen = sizeof(control.bytes);
  ssize_t length;
  do {
    length = recvmsg(socketFd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (length < 0 && errno == EINTR);
  if (length < 0 && errno != EAGAIN) throw systemError(info.Env(), errno, "recvmsg");

  int fd = length > 0 ? receivedDescriptor(&header) : -1;
  return Napi::Number::New(info.Env(), fd);
}

void exportFusermount(Napi::Env env, Napi::Object exports) {
  exports.Set("socketPair", Napi::Function::New<socketPair>(env, "socketPair"));
  exports.Set("receiveDescriptor",
              Napi::Function::New<receiveDescriptor>(env, "receiveDescriptor"));
}

}  // namespace eventfs
