#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "addon.h"
#include "descriptor.h"
#include "process/memory.h"
#include "system_error.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3
#endif

namespace eventfs {

static int createSealable() {
  // Newer kernels log a warning without this flag; older kernels fail with EINVAL
  int fd = memfd_create("eventfs-state", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd >= 0 || errno != EINVAL) return fd;
  return memfd_create("eventfs-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

static Napi::Value createStateMemfd(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Descriptor file(createSealable());
  if (!file) throw systemError(env, errno, "memfd_create");
  if (ftruncate(file.get(), info[0].As<Napi::Number>().Int64Value()) < 0) {
    throw systemError(env, errno, "ftruncate");
  }
  if (fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
    throw systemError(env, errno, "fcntl");
  }
  return Napi::Number::New(env, file.release());
}

static Napi::Value map(const Napi::CallbackInfo& info, int flags) {
  Napi::Env env = info.Env();
  int fd = info[0].As<Napi::Number>().Int32Value();
  int64_t offset = info[1].As<Napi::Number>().Int64Value();
  int64_t length = info[2].As<Napi::Number>().Int64Value();
  struct stat file;
  if (fstat(fd, &file) < 0) throw systemError(env, errno, "fstat");
  if (offset < 0 || length <= 0 || offset > file.st_size || length > file.st_size - offset) {
    throw Napi::RangeError::New(env, "the range exceeds the file");
  }
  auto bytes = static_cast<size_t>(length);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, offset);
  if (memory == MAP_FAILED) throw systemError(env, errno, "mmap");
  // With huge pages one record would take 2 MiB
  madvise(memory, bytes, MADV_NOHUGEPAGE);
  return pagesAsArray(env, memory, bytes);
}

static Napi::Value mapShared(const Napi::CallbackInfo& info) { return map(info, MAP_SHARED); }

static Napi::Value mapPrivate(const Napi::CallbackInfo& info) {
  return map(info, MAP_PRIVATE | MAP_NORESERVE);
}

static void allocate(const Napi::CallbackInfo& info, int mode) {
  int fd = info[0].As<Napi::Number>().Int32Value();
  int64_t offset = info[1].As<Napi::Number>().Int64Value();
  int64_t length = info[2].As<Napi::Number>().Int64Value();
  int failed;
  do {
    failed = fallocate(fd, mode, offset, length);
  } while (failed < 0 && errno == EINTR);
  if (failed < 0) throw systemError(info.Env(), errno, "fallocate");
}

static void reserveRange(const Napi::CallbackInfo& info) { allocate(info, 0); }

static void punchHole(const Napi::CallbackInfo& info) {
  allocate(info, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
}

void exportSharedMemory(Napi::Env env, Napi::Object exports) {
  exports.Set("createStateMemfd", Napi::Function::New<createStateMemfd>(env, "createStateMemfd"));
  exports.Set("mapShared", Napi::Function::New<mapShared>(env, "mapShared"));
  exports.Set("mapPrivate", Napi::Function::New<mapPrivate>(env, "mapPrivate"));
  exports.Set("reserveRange", Napi::Function::New<reserveRange>(env, "reserveRange"));
  exports.Set("punchHole", Napi::Function::New<punchHole>(env, "punchHole"));
}

}  // namespace eventfs
