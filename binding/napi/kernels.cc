// kernels.*: each op of engine/ops.h on the caller's own buffers (exports.kernels), and what this processor runs.
#include "napi/kernels.h"

#include <memory>

#include "cpu/cpu.h"
#include "napi/args.h"
#include "napi/guard.h"
#include "napi/kernel_backend.h"
#include "napi/register.h"

namespace toolgrad {
namespace {

// isaInfo(): {chosen, supported}. Throws ERR_ISA when TOOLGRAD_ISA names what this processor lacks.
Napi::Value isa_info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array supported = Napi::Array::New(env);
  for (int i = 0; i <= static_cast<int>(best_isa()); ++i)
    supported.Set(static_cast<uint32_t>(i), isa_name(static_cast<Isa>(i)));
  Napi::Object result = Napi::Object::New(env);
  result.Set("chosen", isa_name(isa_from_environment()));
  result.Set("supported", supported);
  return result;
}

// backend(threads, replace): promise of {name, threads}. `threads` is for a backend that has not run yet, or, with
// `replace`, for any.
Napi::Value backend(const Napi::CallbackInfo& info) {
  constexpr int64_t kMostThreads = 1024;
  const auto threads = static_cast<int>(read_integer(argument(info, 0), "threads", 1, kMostThreads));
  const bool replace = read_boolean(argument(info, 1), "replace");
  struct Found {
    std::string name;
    int threads = 0;
  };
  auto found = std::make_shared<Found>();
  return run_job(
      info.Env(),
      [threads, replace, found, backend = KernelBackend::of_process()] {
        if (replace || !backend->started()) backend->set_threads(threads);
        *found = {backend->name(), backend->threads()};
      },
      [found](Napi::Env env) {
        Napi::Object result = Napi::Object::New(env);
        result.Set("name", found->name);
        result.Set("threads", found->threads);
        return result;
      });
}

// trace(on): promise of the ops run since the trace was turned on, [{op, seconds}]; then turns it on or off.
Napi::Value trace(const Napi::CallbackInfo& info) {
  const bool on = read_boolean(argument(info, 0), "on");
  auto entries = std::make_shared<std::vector<std::pair<const char*, double>>>();
  return run_job(
      info.Env(), [on, entries, backend = KernelBackend::of_process()] { *entries = backend->swap_trace(on); },
      [entries](Napi::Env env) {
        Napi::Array result = Napi::Array::New(env, entries->size());
        for (size_t i = 0; i < entries->size(); ++i) {
          const Napi::HandleScope scope(env);
          Napi::Object entry = Napi::Object::New(env);
          entry.Set("op", (*entries)[i].first);
          entry.Set("seconds", (*entries)[i].second);
          result.Set(static_cast<uint32_t>(i), entry);
        }
        return result;
      });
}

}  // namespace

void register_kernels(Napi::Env env, Napi::Object exports) {
  // The environment's share of the backend, so that its threads last between calls.
  auto* share = new std::shared_ptr<KernelBackend>(KernelBackend::of_process());
  env.AddCleanupHook([share] { delete share; });
  export_function<isa_info>(env, exports, "isaInfo");
  Napi::Object kernels = Napi::Object::New(env);
  export_function<backend>(env, kernels, "backend");
  export_function<trace>(env, kernels, "trace");
  register_linear_kernels(env, kernels);
  register_row_kernels(env, kernels);
  register_attention_kernels(env, kernels);
  register_head_kernels(env, kernels);
  register_probe(env, kernels);
  exports.Set("kernels", kernels);
}

}  // namespace toolgrad
