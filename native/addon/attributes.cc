#include <sys/xattr.h>

#include <cerrno>
#include <string>

#include "addon.h"
#include "system_error.h"

namespace eventfs {

static Napi::Value readAttribute(const Napi::CallbackInfo& info) {
  auto bytes = info[0].As<Napi::Uint8Array>();
  std::string path(reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength());
  std::string name = info[1].As<Napi::String>().Utf8Value();
  std::string value(256, '\0');
  for (;;) {
    ssize_t length = lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    if (length >= 0) {
      return Napi::String::New(info.Env(), value.data(), static_cast<size_t>(length));
    }
    // XATTR_SIZE_MAX bounds the size
    if (errno != ERANGE) throw systemError(info.Env(), errno, "lgetxattr");
    value.resize(value.size() * 2);
  }
}

void exportAttributes(Napi::Env env, Napi::Object exports) {
  exports.Set("readAttribute", Napi::Function::New<readAttribute>(env, "readAttribute"));
}

}  // namespace eventfs
