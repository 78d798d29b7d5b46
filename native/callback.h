// Calls into JavaScript that nobody in JavaScript is waiting for: an exception becomes an uncaughtException.
#pragma once

#include <napi.h>

#include <initializer_list>

namespace eventfs {

/** A plain call, without the microtasks and ticks that it leaves behind; they wait for Node's next callback. */
void callFunction(napi_env env, napi_value function, std::initializer_list<napi_value> arguments);

/** A call from the event loop, after which microtasks and ticks run (napi_make_callback). */
void makeCallback(napi_env env, napi_value function, std::initializer_list<napi_value> arguments);

/** Makes the pending exception, if there is one, an uncaughtException. Does not return if that ends the process. */
void reportException(napi_env env);

}  // namespace eventfs
