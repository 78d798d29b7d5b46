// Reads the options object of a constructor.
#pragma once

#include <napi.h>

#include <string>

namespace eventfs {

/** Returns the first argument; throws a TypeError if it is not an object. */
inline Napi::Object optionsArgument(const Napi::CallbackInfo& info) {
  if (!info[0].IsObject()) throw Napi::TypeError::New(info.Env(), "options must be an object");
  return info[0].As<Napi::Object>();
}

/** Returns the option `name`; throws a TypeError if it is not a function. */
inline Napi::FunctionReference functionOption(Napi::Object options, const char* name) {
  Napi::Value value = options.Get(name);
  if (!value.IsFunction()) {
    throw Napi::TypeError::New(options.Env(), std::string(name) + " must be a function");
  }
  return Napi::Persistent(value.As<Napi::Function>());
}

/** Returns the option `name` as an unsigned 32-bit number. */
inline uint32_t numberOption(Napi::Object options, const char* name) {
  return options.Get(name).As<Napi::Number>().Uint32Value();
}

}  // namespace eventfs
