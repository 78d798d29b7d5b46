#pragma once

#include <napi.h>

#include <cstdint>

namespace eventfs {

/**
 * Changes the memory that V8 counts as external. V8 counts each new buffer, and collects garbage
 * when the sum grows. No collection can free mapped pages, so their bytes are subtracted
 * beforehand, and added again at the end.
 *
 * From Node.js 23 on V8 ends the process if the sum would fall below zero, also for a moment. There
 * each buffer of 256 MiB costs one collection.
 */
void adjustExternal(napi_env env, int64_t bytes);

/** Returns a Uint8Array of pages from mmap(2). They are unmapped when V8 collects it. */
Napi::Value pagesAsArray(Napi::Env env, void* memory, size_t bytes);

}  // namespace eventfs
