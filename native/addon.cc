#include "addon.h"

static Napi::Object exportAll(Napi::Env env, Napi::Object exports) {
  eventfs::exportMount(env, exports);
  eventfs::exportProcess(env, exports);
  eventfs::exportDeathWatch(env, exports);
  eventfs::exportFuseChannel(env, exports);
  eventfs::exportUeventSocket(env, exports);
  eventfs::exportReadableWatch(env, exports);
  eventfs::exportReadiness(env, exports);
  eventfs::exportSeqpacket(env, exports);
  eventfs::exportMemfd(env, exports);
  eventfs::exportMemory(env, exports);
  eventfs::exportNetlinkSend(env, exports);
  eventfs::exportFifodir(env, exports);
  eventfs::exportThreadInterrupts(env, exports);
  return exports;
}

NODE_API_MODULE(eventfs, exportAll)
