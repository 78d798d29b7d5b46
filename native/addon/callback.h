// Calls into JavaScript with no JavaScript caller: an exception becomes an uncaughtException.
#pragma once

#include <napi.h>

#include <initializer_list>

namespace eventfs {

/** Calls a function. Microtasks and ticks that it queues wait for Node's next callback. */
void callFunction(napi_env env, napi_value function, std::initializer_list<napi_value> arguments);

/** Calls a function from the event loop, then runs microtasks and ticks (napi_make_callback). */
void makeCallback(napi_env env, napi_value function, std::initializer_list<napi_value> arguments);

/**
 * Turns a pending exception into an uncaughtException. Does not return if that ends the process.
 */
void reportException(napi_env env);

}  // namespace eventfs
