// Each part of the addon has a function that adds its exports. index.d.ts documents them all.
#pragma once

#include <napi.h>

namespace eventfs {

void exportAttributes(Napi::Env env, Napi::Object exports);
void exportMount(Napi::Env env, Napi::Object exports);
void exportFusermount(Napi::Env env, Napi::Object exports);
void exportNamespaces(Napi::Env env, Napi::Object exports);
void exportProcess(Napi::Env env, Napi::Object exports);
void exportProcessStatus(Napi::Env env, Napi::Object exports);
void exportCallThread(Napi::Env env, Napi::Object exports);
void exportDeathWatch(Napi::Env env, Napi::Object exports);
void exportFuseChannel(Napi::Env env, Napi::Object exports);
void exportUeventSocket(Napi::Env env, Napi::Object exports);
void exportUeventSender(Napi::Env env, Napi::Object exports);
void exportInjection(Napi::Env env, Napi::Object exports);
void exportReadableWatch(Napi::Env env, Napi::Object exports);
void exportReadiness(Napi::Env env, Napi::Object exports);
void exportSeqpacket(Napi::Env env, Napi::Object exports);
void exportMessages(Napi::Env env, Napi::Object exports);
void exportMemfd(Napi::Env env, Napi::Object exports);
void exportMemory(Napi::Env env, Napi::Object exports);
void exportPidfdHandles(Napi::Env env, Napi::Object exports);
void exportSharedMemory(Napi::Env env, Napi::Object exports);
void exportFifodir(Napi::Env env, Napi::Object exports);
void exportThreadInterrupts(Napi::Env env, Napi::Object exports);

}  // namespace eventfs
