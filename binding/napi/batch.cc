// Readers of batches; see batch.h.
#include "napi/batch.h"

#include <cmath>
#include <string>

#include "napi/args.h"
#include "napi/model.h"

namespace toolgrad {
namespace {

[[noreturn]] void fail_at(Napi::Env env, std::string_view name, int64_t index, const std::string& what, double value) {
  throw_out_of_range(Napi::Number::New(env, value), what, std::string(name) + "[" + std::to_string(index) + "]");
}

// A [T] array, absent as an empty vector unless required.
std::vector<float> read_column(Napi::Object object, const char* key, int64_t T, bool required) {
  const Napi::Value value = property(object, key);
  if (is_absent(value) && !required) return {};
  const std::span<float> span = read_float32(value, key, T);
  return {span.begin(), span.end()};
}

const float* data_or_null(const std::vector<float>& values) {
  return values.empty() ? nullptr : values.data();
}

}  // namespace

std::vector<int32_t> read_tokens(Napi::Value value, std::string_view name, const ModelShape& shape) {
  const std::span<int32_t> tokens = read_int32(value, name);
  for (size_t t = 0; t < tokens.size(); ++t) {
    if (tokens[t] >= 0 && tokens[t] < shape.V) continue;
    fail_at(value.Env(), name, static_cast<int64_t>(t), "token id from 0 to " + std::to_string(shape.V - 1), tokens[t]);
  }
  return {tokens.begin(), tokens.end()};
}

OwnedBatch read_batch(Napi::Object object, const ModelShape& shape) {
  const Napi::Env env = object.Env();
  OwnedBatch batch;
  batch.tokens = read_tokens(property(object, "tokens"), "tokens", shape);
  const Napi::Value starts_value = property(object, "seqStarts");
  const std::span<int32_t> starts = read_int32(starts_value, "seqStarts");
  if (starts.size() < 2) throw_out_of_range(starts_value, "at least 2 entries (one sequence)", "seqStarts");
  if (starts[0] != 0) fail_at(env, "seqStarts", 0, "0", starts[0]);
  for (size_t s = 1; s < starts.size(); ++s) {
    const auto at = static_cast<int64_t>(s);
    if (starts[s] <= starts[s - 1])
      fail_at(env, "seqStarts", at, "a start above the one before, " + std::to_string(starts[s - 1]) + ",", starts[s]);
    const int64_t length = int64_t{starts[s]} - starts[s - 1];
    if (length > shape.max_positions)
      fail_at(env, "seqStarts", at,
              "a sequence of at most " + std::to_string(shape.max_positions) +
                  " tokens (max_position_embeddings) ending there, not one of " + std::to_string(length) + ",",
              starts[s]);
  }
  const int64_t last = static_cast<int64_t>(starts.size()) - 1;
  if (starts.back() != batch.T())
    fail_at(env, "seqStarts", last, "the number of tokens, " + std::to_string(batch.T()) + ",", starts.back());
  batch.seq_starts.assign(starts.begin(), starts.end());
  return batch;
}

float read_temperature(Napi::Value value) {
  const double temperature = read_number(value, "temperature");
  if (!(temperature > 0)) throw_out_of_range(value, "number above 0", "temperature");
  return static_cast<float>(temperature);
}

LossInputs OwnedLossBatch::view() const {
  LossInputs inputs;
  inputs.temperature = temperature;
  inputs.weight = weight.data();
  inputs.advantages = data_or_null(advantages);
  inputs.old_logprobs = data_or_null(old_logprobs);
  inputs.ref_logprobs = data_or_null(ref_logprobs);
  inputs.policy_weight = data_or_null(policy_weight);
  return inputs;
}

OwnedLossBatch read_loss_batch(Napi::Value value, const ModelShape& shape) {
  const Napi::Object object = read_object(value, "batch",
                                          {"tokens", "seqStarts", "temperature", "weight", "advantages", "oldLogprobs",
                                           "refLogprobs", "policyWeight", "value"});
  OwnedLossBatch owned;
  owned.batch = read_batch(object, shape);
  owned.temperature = read_temperature(property(object, "temperature"));
  const int64_t T = owned.batch.T();
  owned.weight = read_column(object, "weight", T, true);
  owned.advantages = read_column(object, "advantages", T, false);
  owned.old_logprobs = read_column(object, "oldLogprobs", T, false);
  owned.ref_logprobs = read_column(object, "refLogprobs", T, false);
  owned.policy_weight = read_column(object, "policyWeight", T, false);
  for (size_t t = 0; t < owned.weight.size(); ++t) {
    const float w = owned.weight[t];
    if (!(w >= 0) || std::isinf(w))
      fail_at(value.Env(), "weight", static_cast<int64_t>(t), "a finite number of 0 or more", static_cast<double>(w));
  }
  for (size_t s = 0; s + 1 < owned.batch.seq_starts.size(); ++s) {
    const int32_t first = owned.batch.seq_starts[s];
    const float w = owned.weight[static_cast<size_t>(first)];
    if (w != 0)
      fail_at(value.Env(), "weight", first, "0 (the first token of a sequence has no log-prob)",
              static_cast<double>(w));
  }
  return owned;
}

Napi::Object to_loss_result(Napi::Env env, const PolicyLossStats& stats, const std::vector<float>& logprobs) {
  auto result = Napi::Object::New(env);
  result.Set("loss", stats.loss);
  result.Set("policyLoss", stats.policy_loss);
  result.Set("klLoss", stats.kl_loss);
  result.Set("entropyBonus", stats.entropy_bonus);
  result.Set("tokens", static_cast<double>(stats.tokens));
  result.Set("ratioSum", stats.ratio_sum);
  result.Set("ratioMax", stats.ratio_max);
  result.Set("clipLowCount", static_cast<double>(stats.clip_low_count));
  result.Set("clipHighCount", static_cast<double>(stats.clip_high_count));
  result.Set("dualClipCount", static_cast<double>(stats.dual_clip_count));
  result.Set("clampCount", static_cast<double>(stats.clamp_count));
  result.Set("klSum", stats.kl_sum);
  result.Set("oldKlSum", stats.old_kl_sum);
  result.Set("absLogRatioMax", stats.abs_log_ratio_max);
  result.Set("entropySum", stats.entropy_sum);
  result.Set("logprobs", to_float32(env, logprobs));
  return result;
}

}  // namespace toolgrad
