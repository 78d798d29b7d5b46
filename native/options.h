// Reads the options object that a constructor is given.
#pragma once

#include <napi.h>

#include <string>

namespace eventfs {

inline Napi::Object optionsArgument(const Napi::CallbackInfo& info) {
  if (!info[0].IsObject()) throw Napi::TypeError::New(info.Env(), "options must be an object");
  return info[0].As<Napi::Object>();
}

/** The function `name` of an options object; throws a TypeError when it is something else. */
inline Napi::FunctionReference functionOption(Napi::Object options, const char* name) {
  Napi::Value value = options.Get(name);
  if (!value.IsFunction()) throw Napi::TypeError::New(options.Env(), std::string(name) + " must be a function");
  return Napi::Persistent(value.As<Napi::Function>());
}

}  // namespace eventfs
