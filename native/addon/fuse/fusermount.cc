#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "addon.h"
#include "descriptor.h"
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
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ssize_t length;
  do {
    length = recvmsg(socketFd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (length < 0 && errno == EINTR);
  if (length < 0 && errno != EAGAIN) throw systemError(info.Env(), errno, "recvmsg");

  int fd = -1;
  cmsghdr* first = length > 0 ? CMSG_FIRSTHDR(&header) : nullptr;
  if (first != nullptr && first->cmsg_level == SOL_SOCKET && first->cmsg_type == SCM_RIGHTS &&
      first->cmsg_len >= CMSG_LEN(sizeof(fd))) {
    memcpy(&fd, CMSG_DATA(first), sizeof(fd));
  }
  return Napi::Number::New(info.Env(), fd);
}

void exportFusermount(Napi::Env env, Napi::Object exports) {
  exports.Set("socketPair", Napi::Function::New<socketPair>(env, "socketPair"));
  exports.Set("receiveDescriptor",
              Napi::Function::New<receiveDescriptor>(env, "receiveDescriptor"));
}

}  // namespace eventfs
