#pragma once

#include <napi.h>

namespace eventfs {

/**
 * The SystemError of index.d.ts, to be thrown: `throw systemError(env, errno, "mount")`.
 * `error` is an errno, positive.
 */
Napi::Error systemError(Napi::Env env, int error, const char* syscall);

}  // namespace eventfs
