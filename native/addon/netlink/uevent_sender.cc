#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "addon.h"
#include "descriptor.h"
#include "system_error.h"

namespace eventfs {

static Napi::Value openUeventSender(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uint32_t group = info[0].As<Napi::Number>().Uint32Value();
  if (group < 1 || group > 32) throw Napi::RangeError::New(env, "group must be 1 to 32");
  Descriptor sender(
      socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
  if (!sender) throw systemError(env, errno, "socket");
  // The socket is connected, so that sendmmsg(2) needs no address. The kernel uses only the lowest
  // group's bit.
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = uint32_t{1} << (group - 1);
  if (connect(sender.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) {
    throw systemError(env, errno, "connect");
  }
  return Napi::Number::New(env, sender.release());
}

void exportUeventSender(Napi::Env env, Napi::Object exports) {
  exports.Set("openUeventSender", Napi::Function::New<openUeventSender>(env, "openUeventSender"));
}

}  // namespace eventfs
