#include "callback.h"

namespace eventfs {

void callFunction(napi_env env, napi_value function, std::initializer_list<napi_value> arguments) {
  napi_value self;
  napi_get_undefined(env, &self);
  napi_status status = napi_call_function(env, self, function, arguments.size(), arguments.begin(), nullptr);
  if (status != napi_ok) reportException(env);
}

void makeCallback(napi_env env, napi_value function, std::initializer_list<napi_value> arguments) {
  napi_value self;  // an object, or napi_make_callback refuses
  napi_get_global(env, &self);
  napi_status status =
      napi_make_callback(env, nullptr, self, function, arguments.size(), arguments.begin(), nullptr);
  if (status != napi_ok) reportException(env);
}

void reportException(napi_env env) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) return;  // JavaScript can't be called any more: the environment is being torn down
  napi_value exception;
  if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
}

}  // namespace eventfs
