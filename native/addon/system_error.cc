#include "system_error.h"

#include <uv.h>

#include <cstring>
#include <string>

namespace eventfs {

Napi::Error systemError(Napi::Env env, int error, const char* syscall) {
  Napi::Error thrown = Napi::Error::New(env, std::string(syscall) + ": " + strerror(error));
  // libuv names errnos with every C library; only glibc has strerrorname_np(3)
  thrown.Set("code", Napi::String::New(env, uv_err_name(-error)));
  thrown.Set("errno", Napi::Number::New(env, error));
  thrown.Set("syscall", Napi::String::New(env, syscall));
  return thrown;
}

}  // namespace eventfs
