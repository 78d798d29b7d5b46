#pragma once

#include <napi.h>

namespace eventfs {

/**
 * Makes the SystemError of index.d.ts, to be thrown: `throw systemError(env, errno, "mount")`.
 *
 * @param error a positive errno
 * @param syscall the name of the system call that failed
 */
Napi::Error systemError(Napi::Env env, int error, const char* syscall);

}  // namespace eventfs
