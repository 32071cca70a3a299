// The machine's peaks for the bench: exports.kernels.probe.
#include "cpu/probe.h"

#include <memory>
#include <vector>

#include "napi/args.h"
#include "napi/guard.h"
#include "napi/job.h"
#include "napi/kernels.h"

namespace toolgrad {
namespace {

// probe({kind: 'flops' | 'bf16' | 'read', threads, runs, seconds?, bytes?}): promise of one rate per run, a Float64Array:
// operations or bytes per second.
Napi::Value probe(const Napi::CallbackInfo& info) {
  constexpr int64_t kMostThreads = 1024, kMostRuns = 1000;
  const Napi::Object options =
      read_object(argument(info, 0), "options", {"kind", "threads", "runs", "seconds", "bytes"});
  const std::string kind = read_string(property(options, "kind"), "kind");
  if (kind != "flops" && kind != "bf16" && kind != "read")
    throw_out_of_range(property(options, "kind"), "\"flops\", \"bf16\" or \"read\"", "kind");
  const auto threads = static_cast<int>(read_integer(property(options, "threads"), "threads", 1, kMostThreads));
  const auto runs = static_cast<int>(read_integer(property(options, "runs"), "runs", 1, kMostRuns));
  const double seconds = number_or(options, "seconds", 0.05);
  const int64_t bytes = integer_or(options, "bytes", int64_t{1} << 28, 1 << 20, int64_t{1} << 36);
  auto rates = std::make_shared<std::vector<double>>();
  return run_job(
      info.Env(),
      [=] {
        ThreadPool pool(threads);
        const Isa isa = isa_from_environment();
        const DType numbers = kind == "bf16" ? DType::kBF16 : DType::kF32;
        *rates =
            kind == "read" ? probe_read_rate(isa, pool, runs, bytes) : probe_flops(isa, numbers, pool, runs, seconds);
      },
      [rates](Napi::Env env) {
        auto result = Napi::Float64Array::New(env, rates->size());
        for (size_t i = 0; i < rates->size(); ++i) result[i] = (*rates)[i];
        return result;
      });
}

}  // namespace

void register_probe(Napi::Env env, Napi::Object exports) {
  export_function<probe>(env, exports, "probe");
}

}  // namespace toolgrad
