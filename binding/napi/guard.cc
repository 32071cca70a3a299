// Translation of C++ exceptions; see guard.h.
#include "napi/guard.h"

#include <new>

#include "engine/error.h"

namespace toolgrad {

Failure describe(std::exception_ptr exception) noexcept {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return {error.code(), error.what()};
  } catch (const std::bad_alloc&) {
    return {"ERR_OUT_OF_MEMORY", "Expected enough memory for this operation but the allocation failed"};
  } catch (const std::exception& error) {
    return {"ERR_NATIVE", error.what()};
  } catch (...) {
    return {"ERR_NATIVE", "Native code threw something that is not a std::exception"};
  }
}

Napi::Error to_js(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.message);
  error.Set("code", Napi::String::New(env, failure.code));
  return error;
}

}  // namespace toolgrad
