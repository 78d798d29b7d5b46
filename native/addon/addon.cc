#include "addon.h"

#include <initializer_list>

#include "shared_words.h"

namespace eventfs {

/** Adds an object that maps each word to its index, and `count` to the number of words. */
static void exportWords(Napi::Env env, Napi::Object exports, const char* name,
                        std::initializer_list<const char*> words) {
  Napi::Object indices = Napi::Object::New(env);
  uint32_t index = 0;
  for (const char* word : words) indices.Set(word, Napi::Number::New(env, index++));
  indices.Set("count", Napi::Number::New(env, index));
  indices.Freeze();
  exports.Set(name, indices);
}

static void exportSharedWords(Napi::Env env, Napi::Object exports) {
#define EVENTFS_NAME(word) #word,
#define EVENTFS_EXPORT(Name, WORDS) exportWords(env, exports, #Name, {WORDS(EVENTFS_NAME)});
  EVENTFS_SHARED_WORDS(EVENTFS_EXPORT)
#undef EVENTFS_EXPORT
#undef EVENTFS_NAME
}

static Napi::Object exportAll(Napi::Env env, Napi::Object exports) {
  exportSharedWords(env, exports);
  exportAttributes(env, exports);
  exportMount(env, exports);
  exportFusermount(env, exports);
  exportNamespaces(env, exports);
  exportProcess(env, exports);
  exportProcessStatus(env, exports);
  exportCallThread(env, exports);
  exportDeathWatch(env, exports);
  exportFuseChannel(env, exports);
  exportUeventSocket(env, exports);
  exportUeventSender(env, exports);
  exportInjection(env, exports);
  exportReadableWatch(env, exports);
  exportReadiness(env, exports);
  exportSeqpacket(env, exports);
  exportMessages(env, exports);
  exportMemfd(env, exports);
  exportMemory(env, exports);
  exportPidfdHandles(env, exports);
  exportSharedMemory(env, exports);
  exportFifodir(env, exports);
  exportThreadInterrupts(env, exports);
  return exports;
}

}  // namespace eventfs

// NODE_API_MODULE pastes this name into other names, so it has no namespace
static Napi::Object exportAddon(Napi::Env env, Napi::Object exports) {
  return eventfs::exportAll(env, exports);
}

NODE_API_MODULE(eventfs, exportAddon)
