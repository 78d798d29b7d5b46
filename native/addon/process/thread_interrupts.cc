#include <dlfcn.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <ctime>

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

// ---- The caller of a call of libfuse.

/** The beginning of libfuse's struct fuse_context (fuse.h of libfuse 2). */
struct FuseContext {
  void* fuse;
  uid_t uid;
  gid_t gid;
  pid_t pid;
};

static FuseContext* (*fuseGetContext)() = nullptr;
static sem_t callerKnown;
static volatile pid_t callerPid = 0;
/** How long a thread may take to tell its caller. It waits for a semaphore, so it tells at once. */
static constexpr int ANSWER_SECONDS = 1;

/** Runs on a thread of libfuse: only it can reach its context, which is thread-specific. */
static void onCallerAsked(int) {
  int savedErrno = errno;
  FuseContext* context = fuseGetContext();
  callerPid = context == nullptr ? 0 : context->pid;
  sem_post(&callerKnown);
  errno = savedErrno;
}

static Napi::Value callerOfThread(const Napi::CallbackInfo& info) {
  int signal = info[1].As<Napi::Number>().Int32Value();
  if (fuseGetContext == nullptr) {
    void* libfuse = dlopen("libfuse.so.2", RTLD_LAZY | RTLD_NOLOAD);
    void* found = libfuse == nullptr ? nullptr : dlsym(libfuse, "fuse_get_context");
    if (found == nullptr) return Napi::Number::New(info.Env(), 0);
    struct sigaction action {};
    action.sa_handler = onCallerAsked;
    action.sa_flags = SA_RESTART;
    sem_init(&callerKnown, 0, 0);
    if (sigaction(signal, &action, nullptr) < 0) throw systemError(info.Env(), errno, "sigaction");
    fuseGetContext = reinterpret_cast<FuseContext* (*)()>(found);
  }
  while (sem_trywait(&callerKnown) == 0) continue;  // a late answer to an earlier question
  callerPid = 0;
  if (syscall(SYS_tgkill, getpid(), info[0].As<Napi::Number>().Int32Value(), signal) < 0) {
    return Napi::Number::New(info.Env(), 0);
  }
  struct timespec end {};
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += ANSWER_SECONDS;
  while (sem_timedwait(&callerKnown, &end) < 0) {
    if (errno != EINTR) return Napi::Number::New(info.Env(), 0);
  }
  return Napi::Number::New(info.Env(), callerPid);
}

static Napi::Value addressOf(const Napi::CallbackInfo& info) {
  auto address = reinterpret_cast<uintptr_t>(info[0].As<Napi::Uint8Array>().Data());
  return Napi::Number::New(info.Env(), static_cast<double>(address));  // below 2^47
}

void exportThreadInterrupts(Napi::Env env, Napi::Object exports) {
  exports.Set("catchInterrupts", Napi::Function::New<catchInterrupts>(env, "catchInterrupts"));
  exports.Set("callerOfThread", Napi::Function::New<callerOfThread>(env, "callerOfThread"));
  exports.Set("addressOf", Napi::Function::New<addressOf>(env, "addressOf"));
}

}  // namespace eventfs
