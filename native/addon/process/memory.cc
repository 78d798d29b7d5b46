#include <sys/mman.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <cerrno>
#include <cstdint>

#include "addon.h"
#include "process/memory.h"
#include "system_error.h"

namespace eventfs {

/** The first major version of Node.js whose V8 checks the sum of external memory. */
static constexpr uint32_t kFirstWithCheck = 23;

void adjustExternal(napi_env env, int64_t bytes) {
  const napi_node_version* version = nullptr;
  if (napi_get_node_version(env, &version) != napi_ok || version->major >= kFirstWithCheck) return;
  int64_t total;
  napi_adjust_external_memory(env, bytes, &total);
}

Napi::Value pagesAsArray(Napi::Env env, void* memory, size_t bytes) {
  adjustExternal(env, -static_cast<int64_t>(bytes));
  auto buffer =
      Napi::ArrayBuffer::New(env, memory, bytes, [bytes](Napi::Env finalEnv, void* pages) {
        munmap(pages, bytes);
        adjustExternal(finalEnv, static_cast<int64_t>(bytes));
      });
  return Napi::Uint8Array::New(env, bytes, buffer, 0);
}

static void* mapAnonymous(Napi::Env env, size_t bytes, int flags) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);
  if (memory == MAP_FAILED) throw systemError(env, errno, "mmap");
  return memory;
}

static Napi::Value allocatePages(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto bytes = static_cast<size_t>(info[0].As<Napi::Number>().Int64Value());
  void* memory = mapAnonymous(env, bytes, MAP_PRIVATE | MAP_NORESERVE);
  // With huge pages one event would take 2 MiB, and discarded pages might stay
  madvise(memory, bytes, MADV_NOHUGEPAGE);
  return pagesAsArray(env, memory, bytes);
}

static Napi::Value allocateResident(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto bytes = static_cast<size_t>(info[0].As<Napi::Number>().Int64Value());
  // Shared: fork(2) would make private pages read-only until the next write
  void* memory = mapAnonymous(env, bytes, MAP_SHARED | MAP_POPULATE);
  // The user's limit may forbid it (RLIMIT_MEMLOCK). Without swap the pages stay anyway
  [[maybe_unused]] int locked = mlock(memory, bytes);
  return pagesAsArray(env, memory, bytes);
}

static void discardPages(const Napi::CallbackInfo& info) {
  auto memory = info[0].As<Napi::Uint8Array>();
  auto start = static_cast<size_t>(info[1].As<Napi::Number>().Int64Value());
  auto length = static_cast<size_t>(info[2].As<Napi::Number>().Int64Value());
  if (start > memory.ByteLength() || length > memory.ByteLength() - start) {
    throw Napi::RangeError::New(info.Env(), "the range exceeds the memory");
  }
  if (madvise(memory.Data() + start, length, MADV_DONTNEED) < 0) {
    throw systemError(info.Env(), errno, "madvise");
  }
}

static void trimHeap(const Napi::CallbackInfo&) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

void exportMemory(Napi::Env env, Napi::Object exports) {
  exports.Set("allocatePages", Napi::Function::New<allocatePages>(env, "allocatePages"));
  exports.Set("allocateResident", Napi::Function::New<allocateResident>(env, "allocateResident"));
  exports.Set("discardPages", Napi::Function::New<discardPages>(env, "discardPages"));
  exports.Set("trimHeap", Napi::Function::New<trimHeap>(env, "trimHeap"));
}

}  // namespace eventfs
