#include "callback.h"

namespace eventfs {

void callFunction(napi_env env, napi_value function, std::initializer_list<napi_value> arguments) {
  napi_value self;
  napi_get_undefined(env, &self);
  napi_status status =
      napi_call_function(env, self, function, arguments.size(), arguments.begin(), nullptr);
  if (status != napi_ok) reportException(env);
}

void makeCallback(napi_env env, napi_value function, std::initializer_list<napi_value> arguments) {
  napi_value self;  // napi_make_callback accepts only an object
  napi_get_global(env, &self);
  napi_status status = napi_make_callback(env, nullptr, self, function, arguments.size(),
                                          arguments.begin(), nullptr);
  if (status != napi_ok) reportException(env);
}

void reportException(napi_env env) {
  bool isPending = false;
  napi_is_exception_pending(env, &isPending);
  if (!isPending) return;  // Node tears the environment down and runs no more JavaScript
  napi_value exception;
  if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) {
    napi_fatal_exception(env, exception);
  }
}

}  // namespace eventfs
