#include <fcntl.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "addon.h"
#include "system_error.h"

namespace eventfs {

/** The signal handler writes to this pipe. It stays open: a signal may still be on its way. */
static int interruptPipe[2] = {-1, -1};

/**
 * Runs on the thread that libfuse interrupts. A thread that waits for a semaphore is in futex(2),
 * whose first argument is the semaphore's address.
 */
static void onSignal(int, siginfo_t*, [[maybe_unused]] void* context) {
  int savedErrno = errno;
#if defined(__x86_64__)
  uint64_t waitsFor = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RDI];
#else
  uint64_t waitsFor = 0;
#endif
  // If the pipe is full this record is lost, but libfuse sends the signal again after a second
  [[maybe_unused]] ssize_t written = write(interruptPipe[1], &waitsFor, sizeof(waitsFor));
  errno = savedErrno;
}

static Napi::Value catchInterrupts(const Napi::CallbackInfo& info) {
  if (interruptPipe[0] < 0 && pipe2(interruptPipe, O_NONBLOCK | O_CLOEXEC) < 0) {
    throw systemError(info.Env(), errno, "pipe2");
  }
  struct sigaction action {};
  action.sa_sigaction = onSignal;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  if (sigaction(info[0].As<Napi::Number>().Int32Value(), &action, nullptr) < 0) {
    throw systemError(info.Env(), errno, "sigaction");
  }
  return Napi::Number::New(info.Env(), interruptPipe[0]);
}

static Napi::Value addressOf(const Napi::CallbackInfo& info) {
  auto address = reinterpret_cast<uintptr_t>(info[0].As<Napi::Uint8Array>().Data());
  return Napi::Number::New(info.Env(), static_cast<double>(address));  // below 2^47
}

void exportThreadInterrupts(Napi::Env env, Napi::Object exports) {
  exports.Set("catchInterrupts", Napi::Function::New<catchInterrupts>(env, "catchInterrupts"));
  exports.Set("addressOf", Napi::Function::New<addressOf>(env, "addressOf"));
}

}  // namespace eventfs
