// The one place where C++ exceptions become JavaScript errors: every exported function runs inside guard().
//
// An engine Error keeps its code; bad arguments are TypeError or RangeError with ERR_INVALID_ARG_TYPE or
// ERR_OUT_OF_RANGE; memory exhaustion is ERR_OUT_OF_MEMORY; any other std::exception is ERR_NATIVE.
// Nothing may leave an exported function except a Napi::Error.
#pragma once

#include <napi.h>

#include <exception>
#include <string>

namespace toolgrad {

// What a C++ exception says, without its type: the form in which a failure crosses threads.
struct Failure {
  std::string code;
  std::string message;
};

// Reads the exception being handled or stored; never throws.
Failure describe(std::exception_ptr exception) noexcept;

// A JavaScript Error with `code`.
Napi::Error to_js(Napi::Env env, const Failure& failure);

template <class F>
auto guard(Napi::Env env, F&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw to_js(env, describe(std::current_exception()));
  }
}

// exports.<name> = a function that runs `body(info)` under guard().
template <Napi::Value (*body)(const Napi::CallbackInfo&)>
void export_function(Napi::Env env, Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New(
                        env,
                        [](const Napi::CallbackInfo& info) -> Napi::Value {
                          return guard(info.Env(), [&] { return body(info); });
                        },
                        name));
}

}  // namespace toolgrad
