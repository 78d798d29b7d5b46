#include <poll.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <string>

#include "addon.h"
#include "descriptor.h"
#include "sockets/rights.h"
#include "system_error.h"

namespace eventfs {

/** The longest message of the guardian's protocol (native/guard/guard.h, MESSAGE_BYTES). */
static constexpr size_t kMessageBytes = 512;
/** How long a sender waits for room: the receiver may be stopped. */
static constexpr int kMostWaitMs = 1000;

static ssize_t sendText(int socketFd, const std::string& text, int descriptor,
                        const sockaddr_un* to, socklen_t toLength, int flags) {
  iovec part{const_cast<char*>(text.data()), text.size()};
  RightsControl control;
  msghdr message{};
  message.msg_name = const_cast<sockaddr_un*>(to);
  message.msg_namelen = toLength;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptor >= 0) attachDescriptor(&message, &control, descriptor);
  ssize_t sent;
  do {
    sent = sendmsg(socketFd, &message, flags | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent;
}

static void sendMessage(const Napi::CallbackInfo& info) {
  int socketFd = info[0].As<Napi::Number>().Int32Value();
  std::string text = info[1].As<Napi::String>().Utf8Value();
  int descriptor = info[2].As<Napi::Number>().Int32Value();
  bool waits = !info[3].IsBoolean() || info[3].As<Napi::Boolean>().Value();
  while (sendText(socketFd, text, descriptor, nullptr, 0, waits ? 0 : MSG_DONTWAIT) < 0) {
    if (!waits || errno != EAGAIN) throw systemError(info.Env(), errno, "sendmsg");
    pollfd polled{socketFd, POLLOUT, 0};  // the event loop has made the socket non-blocking
    if (poll(&polled, 1, kMostWaitMs) == 0) waits = false;
  }
}

static Napi::Value receiveMessage(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto received = info[1].As<Napi::Int32Array>();
  bool waits = info[2].IsBoolean() && info[2].As<Napi::Boolean>().Value();
  char text[kMessageBytes];
  iovec part{text, sizeof(text)};
  RightsControl control;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof(control.bytes);
  ssize_t length;
  do {
    // The event loop has made the socket non-blocking
    pollfd polled{info[0].As<Napi::Number>().Int32Value(), POLLIN, 0};
    if (waits) poll(&polled, 1, -1);
    length = recvmsg(polled.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (length < 0 && (errno == EINTR || (waits && errno == EAGAIN)));
  received[0] = -1;
  if (length < 0 && errno == EAGAIN) return env.Null();
  if (length < 0 && errno == ECONNRESET) return Napi::String::New(env, "");
  if (length < 0) throw systemError(env, errno, "recvmsg");
  received[0] = receivedDescriptor(&message);
  return Napi::String::New(env, text, static_cast<size_t>(length));
}

static void sendDatagram(const Napi::CallbackInfo& info) {
  std::string path = info[0].As<Napi::String>().Utf8Value();
  std::string message = info[1].As<Napi::String>().Utf8Value();
  bool waits = !info[2].IsBoolean() || info[2].As<Napi::Boolean>().Value();
  int descriptor = info[3].IsNumber() ? info[3].As<Napi::Number>().Int32Value() : -1;

  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    throw systemError(info.Env(), ENAMETOOLONG, "sendto");
  }
  memcpy(address.sun_path, path.data(), path.size());
  // unix(7): an abstract name begins with a NUL, and the length ends it without another NUL
  if (path[0] == '@') address.sun_path[0] = '\0';
  auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());

  Descriptor socketFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socketFd) throw systemError(info.Env(), errno, "socket");
  int flags = waits ? 0 : MSG_DONTWAIT;
  if (sendText(socketFd.get(), message, descriptor, &address, length, flags) < 0) {
    throw systemError(info.Env(), errno, "sendto");
  }
}

void exportMessages(Napi::Env env, Napi::Object exports) {
  exports.Set("sendMessage", Napi::Function::New<sendMessage>(env, "sendMessage"));
  exports.Set("receiveMessage", Napi::Function::New<receiveMessage>(env, "receiveMessage"));
  exports.Set("sendDatagram", Napi::Function::New<sendDatagram>(env, "sendDatagram"));
}

}  // namespace eventfs
