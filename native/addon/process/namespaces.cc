#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include "addon.h"
#include "descriptor.h"
#include "system_error.h"

namespace eventfs {

static Napi::Value namespaceOwner(const Napi::CallbackInfo& info) {
  std::string path = info[0].As<Napi::String>().Utf8Value();
  Descriptor of(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!of) throw systemError(info.Env(), errno, "open");
  // The kernel sets close-on-exec
  Descriptor owner(ioctl(of.get(), NS_GET_USERNS));
  if (!owner && errno == EPERM) return Napi::Number::New(info.Env(), 0);
  struct stat attributes;
  if (!owner || fstat(owner.get(), &attributes) < 0) {
    throw systemError(info.Env(), errno, "ioctl");
  }
  return Napi::Number::New(info.Env(), static_cast<double>(attributes.st_ino));
}

void exportNamespaces(Napi::Env env, Napi::Object exports) {
  exports.Set("namespaceOwner", Napi::Function::New<namespaceOwner>(env, "namespaceOwner"));
}

}  // namespace eventfs
