// kernels.*: the loss head, the policy loss and sampling. lib/model/kernels/head.ts documents the functions.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "engine/error.h"
#include "engine/policy_loss.h"
#include "napi/args.h"
#include "napi/batch.h"
#include "napi/guard.h"
#include "napi/kernel_backend.h"
#include "napi/kernels.h"
#include "napi/losses.h"
#include "napi/tensor.h"

namespace toolgrad {
namespace {

// The rows whose label is not negative: the head works on these only.
struct WantedRows {
  std::vector<int32_t> rows, labels;
  int64_t R() const { return static_cast<int64_t>(rows.size()); }

  WantedRows(const Operand& operand, int64_t V) {
    const std::vector<int32_t> all(operand.ints(), operand.ints() + operand.elements);
    for (size_t r = 0; r < all.size(); ++r) {
      if (all[r] < 0) continue;
      if (all[r] >= V)
        throw Error("ERR_OUT_OF_RANGE", "expected labels below " + std::to_string(V) +
                                            " (negative: not wanted) but entry " + std::to_string(r) + " is " +
                                            std::to_string(all[r]));
      rows.push_back(static_cast<int32_t>(r));
      labels.push_back(all[r]);
    }
  }
  // Rows of `width` numbers of a tensor, one after the other; the tensor itself when all rows are wanted.
  float* gather(KernelBackend& backend, const Operand& from, int64_t width) const {
    if (R() * width == from.elements) return from.floats();
    float* to = backend.take<float>(R() * width);
    for (int64_t i = 0; i < R(); ++i)
      std::memcpy(to + i * width, from.floats() + rows[static_cast<size_t>(i)] * width,
                  static_cast<size_t>(width) * sizeof(float));
    return to;
  }
  float* output(KernelBackend& backend, const Operand& to, int64_t width) const {
    return R() * width == to.elements ? to.floats() : backend.take<float>(R() * width);
  }
  // Writes the wanted rows of an output, 0 elsewhere.
  void scatter(const float* from, const Operand& to, int64_t width) const {
    if (from == to.data) return;
    std::memset(to.data, 0, static_cast<size_t>(to.elements) * sizeof(float));
    for (int64_t i = 0; i < R(); ++i)
      std::memcpy(to.floats() + rows[static_cast<size_t>(i)] * width, from + i * width,
                  static_cast<size_t>(width) * sizeof(float));
  }
};

float read_head_temperature(const Operands& call) {
  const double temperature = call.number("temperature");
  if (!(temperature > 0)) throw_out_of_range(property(call.object(), "temperature"), "number above 0", "temperature");
  return static_cast<float>(temperature);
}

Napi::Value loss_head(const Napi::CallbackInfo& info) {
  Operands call(info, "lossHead", {"hidden", "weight", "labels", "logprobs", "entropies", "lse", "temperature"});
  const Operand hidden = call.in("hidden", kFloat, "*RC");
  const Operand weight = call.in("weight", kWeight, "VC", Layout::kRowsOrPanels);
  const Operand labels = call.in("labels", kInt, "*R");
  const Operand logprobs = call.out("logprobs", kFloat, "*R"), entropies = call.out("entropies", kFloat, "*R");
  const Operand lse = call.out("lse", kFloat, "*R");
  call.require_sizes("VC");
  const float temperature = read_head_temperature(call);
  const int64_t V = call.size('V'), C = call.size('C');
  return call.run([=](KernelBackend& backend) {
    const WantedRows wanted(labels, V);
    float* lp = wanted.output(backend, logprobs, 1);
    float* entropy = wanted.output(backend, entropies, 1);
    float* sums = wanted.output(backend, lse, 1);
    if (wanted.R() > 0)
      backend.ops().head_forward({wanted.gather(backend, hidden, C), backend.panels(weight), wanted.labels.data(),
                                  temperature, lp, entropy, sums, wanted.R()});
    wanted.scatter(lp, logprobs, 1);
    wanted.scatter(entropy, entropies, 1);
    wanted.scatter(sums, lse, 1);
  });
}

Napi::Value loss_head_backward(const Napi::CallbackInfo& info) {
  Operands call(info, "lossHeadBackward",
                {"hidden", "weight", "labels", "lse", "entropies", "dLogprobs", "dEntropies", "dhidden", "dweight",
                 "temperature"});
  const Operand hidden = call.in("hidden", kFloat, "*RC");
  const Operand weight = call.in("weight", kWeight, "VC", Layout::kRowsOrPanels);
  const Operand labels = call.in("labels", kInt, "*R");
  const Operand lse = call.in("lse", kFloat, "*R"), entropies = call.in("entropies", kFloat, "*R");
  const Operand d_logprobs = call.in("dLogprobs", kFloat, "*R");
  const Operand d_entropies = call.in_optional("dEntropies", kFloat, "*R");
  const Operand dhidden = call.out("dhidden", kFloat, "*RC");
  const Operand dweight = call.out("dweight", kFloat, "VC", Layout::kRowsOrPanels);
  call.require_sizes("VC");
  const float temperature = read_head_temperature(call);
  const int64_t V = call.size('V'), C = call.size('C');
  return call.run([=](KernelBackend& backend) {
    const WantedRows wanted(labels, V);
    float* dx = wanted.output(backend, dhidden, C);
    if (wanted.R() > 0) {
      float* d_entropy = nullptr;
      if (d_entropies.present) {
        d_entropy = wanted.gather(backend, d_entropies, 1);
      } else {
        d_entropy = backend.take<float>(wanted.R());
        std::fill(d_entropy, d_entropy + wanted.R(), 0.0f);
      }
      const float* x = wanted.gather(backend, hidden, C);
      const float* sums = wanted.gather(backend, lse, 1);
      const float* entropy = wanted.gather(backend, entropies, 1);
      const float* d_logprob = wanted.gather(backend, d_logprobs, 1);
      const PackedMatrix w = backend.panels(weight);
      backend.accumulate(dweight, [&](PackedMatrix dw) {
        backend.ops().head_backward(
            {x, w, wanted.labels.data(), temperature, sums, entropy, d_logprob, d_entropy, dx, dw, wanted.R()});
      });
    }
    wanted.scatter(dx, dhidden, C);
  });
}

Napi::Value policy_loss_of(const Napi::CallbackInfo& info) {
  Operands call(info, "policyLoss",
                {"logprobs", "weight", "seqStarts", "entropies", "advantages", "oldLogprobs", "refLogprobs",
                 "policyWeight", "dLogprobs", "dEntropies", "loss"});
  const Operand logprobs = call.in("logprobs", kFloat, "*T");
  const Operand weight = call.in("weight", kFloat, "*T");
  const Operand seq_starts = call.in("seqStarts", kInt, "P");
  const Operand entropies = call.in_optional("entropies", kFloat, "*T");
  const Operand advantages = call.in_optional("advantages", kFloat, "*T");
  const Operand old_logprobs = call.in_optional("oldLogprobs", kFloat, "*T");
  const Operand ref_logprobs = call.in_optional("refLogprobs", kFloat, "*T");
  const Operand policy_weight = call.in_optional("policyWeight", kFloat, "*T");
  const Operand d_logprobs = call.out("dLogprobs", kFloat, "*T");
  const Operand d_entropies = call.out("dEntropies", kFloat, "*T");
  const PolicyLossOptions options = read_loss_options(property(call.object(), "loss"));
  const int64_t T = call.size('T');
  auto stats = std::make_shared<PolicyLossStats>();
  return call.run(
      [=](KernelBackend&) {
        const std::vector<int32_t> starts = checked_starts(seq_starts, T);
        PolicyLossBatch batch;
        batch.T = T;
        batch.S = static_cast<int64_t>(starts.size()) - 1;
        batch.seq_starts = starts.data();
        batch.logprob = logprobs.floats();
        batch.entropy = entropies.floats();
        batch.old_logprob = old_logprobs.floats();
        batch.ref_logprob = ref_logprobs.floats();
        batch.advantage = advantages.floats();
        batch.weight = weight.floats();
        batch.policy_weight = policy_weight.floats();
        PolicyLossResult result;
        result.d_logprob = d_logprobs.floats();
        result.d_entropy = d_entropies.floats();
        if (T > 0) policy_loss(options, batch, &result);
        *stats = result;
      },
      [stats](Napi::Env env) {
        Napi::Object result = to_loss_result(env, *stats, {});
        result.Delete("logprobs");
        return result;
      });
}

// One entry per row, checked.
template <class T, class Check>
std::vector<T> read_rows(std::span<T> values, Napi::Value value, const char* name, const char* what, Check&& ok) {
  for (size_t r = 0; r < values.size(); ++r)
    if (!ok(values[r]))
      throw_out_of_range(Napi::Number::New(value.Env(), static_cast<double>(values[r])), what,
                         std::string(name) + "[" + std::to_string(r) + "]");
  return {values.begin(), values.end()};
}

// sample({logits, tokens, logprobs, temperature, topK, topP, minP, seeds, places}): the last six are plain typed arrays
// with one entry per row; places [R, 4] holds step, prompt, sample, position.
Napi::Value sample_of(const Napi::CallbackInfo& info) {
  Operands call(info, "sample",
                {"logits", "tokens", "logprobs", "temperature", "topK", "topP", "minP", "seeds", "places"});
  const Operand logits = call.in("logits", kFloat, "RV");
  const Operand tokens = call.out("tokens", kInt, "R");
  const Operand logprobs = call.out("logprobs", kFloat, "R");
  call.require_sizes("V");
  const int64_t R = call.size('R'), V = call.size('V');
  const auto value = [&call](const char* key) { return property(call.object(), key); };
  const auto read = [&](const char* key, const char* what, auto&& ok) {
    return read_rows(read_float32(value(key), key, R), value(key), key, what, ok);
  };
  struct Rows {
    std::vector<float> temperature, top_p, min_p;
    std::vector<int32_t> top_k;
    std::vector<SampleKey> keys;
  };
  Rows rows;
  rows.temperature =
      read("temperature", "number of 0 (greedy) or more", [](float t) { return t >= 0 && std::isfinite(t); });
  rows.top_k = read_rows(read_int32(value("topK"), "topK", R), value("topK"), "topK", "integer of 0 (off) or more",
                         [](int32_t k) { return k >= 0; });
  rows.top_p = read("topP", "number above 0 and up to 1 (off)", [](float p) { return p > 0 && p <= 1; });
  rows.min_p = read("minP", "number from 0 (off) to 1", [](float p) { return p >= 0 && p <= 1; });
  const std::span<uint64_t> seeds = read_biguint64(value("seeds"), "seeds", R);
  const std::span<uint32_t> places = read_uint32(value("places"), "places", 4 * R);
  for (size_t r = 0; r < seeds.size(); ++r)
    rows.keys.push_back({seeds[r], places[4 * r], places[4 * r + 1], places[4 * r + 2], places[4 * r + 3]});
  return call.run([=](KernelBackend& backend) {
    if (R == 0) return;
    backend.ops().sample({logits.floats(), rows.temperature.data(), rows.top_k.data(), rows.top_p.data(),
                          rows.min_p.data(), rows.keys.data(), static_cast<int32_t*>(tokens.data), logprobs.floats(), R,
                          V});
  });
}

}  // namespace

void register_head_kernels(Napi::Env env, Napi::Object exports) {
  export_function<loss_head>(env, exports, "lossHead");
  export_function<loss_head_backward>(env, exports, "lossHeadBackward");
  export_function<policy_loss_of>(env, exports, "policyLoss");
  export_function<sample_of>(env, exports, "sample");
}

}  // namespace toolgrad
