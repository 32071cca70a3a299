// Entry point of the addon: creates the job queues and registers the exports, nothing else.
#include <napi.h>

#include <cstdint>
#include <memory>
#include <string>

#include "engine/error.h"
#include "engine/queue.h"
#include "napi/args.h"
#include "napi/guard.h"
#include "napi/job.h"
#include "napi/register.h"

namespace toolgrad {
namespace {

constexpr const char* kCompiler =
#if defined(__clang__)
    "clang " __clang_version__;
#elif defined(__GNUC__)
    "gcc " __VERSION__;
#else
    "unknown";
#endif

// version(): the package version this binary was built from.
Napi::Value version(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), TOOLGRAD_VERSION);
}

// buildInfo(): {compiler, cxx, napi, x86}.
Napi::Value build_info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto result = Napi::Object::New(env);
  result.Set("compiler", kCompiler);
  result.Set("cxx", static_cast<double>(__cplusplus));
  result.Set("napi", NAPI_VERSION);
#ifdef TOOLGRAD_X86
  result.Set("x86", true);
#else
  result.Set("x86", false);
#endif
  return result;
}

// selfCheck(rounds, failure?): promise of the sum 1 + … + rounds, added up on the engine thread; with `failure` it then
// rejects with that code. Proves that queue, promise, errors and event loop work together; `doctor` calls it.
Napi::Value self_check(const Napi::CallbackInfo& info) {
  const int64_t rounds = read_integer(info[0], "rounds", 0, 2'000'000'000);
  const std::string failure = is_absent(info[1]) ? "" : read_string(info[1], "failure");
  auto sum = std::make_shared<double>(0);
  return run_job(
      info.Env(),
      [rounds, failure, sum] {
        for (int64_t i = 1; i <= rounds; ++i) {
          *sum += static_cast<double>(i);
          if (i % 65536 == 0 && cancel_requested())
            throw Error("ERR_CANCELLED", "selfCheck: stopped because its environment ends");
        }
        if (!failure.empty()) throw Error(failure, "selfCheck: failed with " + failure + " as asked");
      },
      [sum](Napi::Env env) { return Napi::Number::New(env, *sum); });
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  init_jobs(env);
  export_function<version>(env, exports, "version");
  export_function<build_info>(env, exports, "buildInfo");
  export_function<self_check>(env, exports, "selfCheck");
  register_weights(env, exports);
  register_advantages(env, exports);
  register_device(env, exports);
  register_kernels(env, exports);
  register_model(env, exports);
  register_values(env, exports);
  register_lora(env, exports);
  register_process(env, exports);
  register_kv_cache(env, exports);
  return exports;
}

}  // namespace
}  // namespace toolgrad

using toolgrad::init;  // the macro pastes the name, so it cannot be qualified
NODE_API_MODULE(toolgrad, init)
