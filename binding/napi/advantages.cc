// Advantages, returns and correction weights for JavaScript: synchronous, since they take microseconds per trajectory.
// Arrays are token-aligned over packed sequences (engine/token_advantages.h, engine/correction.h).
#include "engine/advantages.h"

#include <cstdint>
#include <string>

#include "engine/correction.h"
#include "engine/token_advantages.h"
#include "napi/args.h"
#include "napi/choice.h"
#include "napi/guard.h"
#include "napi/register.h"

namespace toolgrad {
namespace {

// groupAdvantages(rewards, valid, groupSize, {kind, std, scope, eps}): {advantages, deadGroups}.
Napi::Value group_advantages_of(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::span<float> rewards = read_float32(argument(info, 0), "rewards");
  const auto count = static_cast<int64_t>(rewards.size());
  const std::span<uint8_t> valid = read_uint8(argument(info, 1), "valid", count);
  const int64_t group_size = read_positive_integer(argument(info, 2), "groupSize");
  if (count % group_size != 0)
    throw_out_of_range(argument(info, 2), "a divisor of the " + std::to_string(count) + " rewards", "groupSize");
  const Napi::Object choices = read_object(argument(info, 3), "options", {"kind", "std", "scope", "eps"});

  constexpr Named<AdvantageOptions::Baseline> kKinds[] = {{"grpo", AdvantageOptions::Baseline::kGroupMean},
                                                          {"rloo", AdvantageOptions::Baseline::kLeaveOneOut}};
  constexpr Named<AdvantageOptions::Std> kStds[] = {{"sample", AdvantageOptions::Std::kSample},
                                                    {"population", AdvantageOptions::Std::kPopulation},
                                                    {"none", AdvantageOptions::Std::kNone}};
  constexpr Named<AdvantageOptions::Scope> kScopes[] = {{"group", AdvantageOptions::Scope::kGroup},
                                                        {"batch", AdvantageOptions::Scope::kBatch}};
  AdvantageOptions options;
  options.baseline = read_choice(choices, "kind", kKinds);
  options.std = read_choice(choices, "std", kStds);
  if (!is_absent(property(choices, "scope"))) options.scope = read_choice(choices, "scope", kScopes);
  options.eps = read_number(property(choices, "eps"), "eps");

  Napi::Float32Array advantages = Napi::Float32Array::New(env, rewards.size());
  const AdvantageStats stats =
      group_advantages(options, rewards.data(), count / group_size, group_size, valid.data(), advantages.Data());
  Napi::Object result = Napi::Object::New(env);
  result.Set("advantages", advantages);
  result.Set("deadGroups", static_cast<double>(stats.dead_groups));
  return result;
}

// seqStarts over T tokens: ascending from 0 to T.
std::span<int32_t> read_starts(Napi::Value value, int64_t T) {
  const std::span<int32_t> starts = read_int32(value, "seqStarts");
  bool sound = starts.size() >= 2 && starts[0] == 0 && starts.back() == T;
  for (size_t s = 1; sound && s < starts.size(); ++s) sound = starts[s] >= starts[s - 1];
  if (!sound) throw_out_of_range(value, "ascending starts from 0 to " + std::to_string(T), "seqStarts");
  return starts;
}

// tokenReturns(rewards, mask, seqStarts, gamma): Float32Array.
Napi::Value token_returns_of(const Napi::CallbackInfo& info) {
  const std::span<float> rewards = read_float32(argument(info, 0), "rewards");
  const auto T = static_cast<int64_t>(rewards.size());
  const std::span<uint8_t> mask = read_uint8(argument(info, 1), "mask", T);
  const std::span<int32_t> starts = read_starts(argument(info, 2), T);
  Napi::Float32Array returns = Napi::Float32Array::New(info.Env(), rewards.size());
  discounted_returns({T, static_cast<int64_t>(starts.size()) - 1, starts.data(), rewards.data(), mask.data()},
                     read_number(argument(info, 3), "gamma"), returns.Data());
  return returns;
}

// tokenGae(rewards, values, mask, seqStarts, {gamma, lambda}): {advantages, returns}.
Napi::Value token_gae_of(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::span<float> rewards = read_float32(argument(info, 0), "rewards");
  const auto T = static_cast<int64_t>(rewards.size());
  const std::span<float> values = read_float32(argument(info, 1), "values", T);
  const std::span<uint8_t> mask = read_uint8(argument(info, 2), "mask", T);
  const std::span<int32_t> starts = read_starts(argument(info, 3), T);
  const Napi::Object options = read_object(argument(info, 4), "options", {"gamma", "lambda"});
  Napi::Float32Array advantages = Napi::Float32Array::New(env, rewards.size());
  Napi::Float32Array returns = Napi::Float32Array::New(env, rewards.size());
  generalised_advantages({T, static_cast<int64_t>(starts.size()) - 1, starts.data(), rewards.data(), mask.data()},
                         values.data(), read_number(property(options, "gamma"), "gamma"),
                         read_number(property(options, "lambda"), "lambda"), advantages.Data(), returns.Data());
  Napi::Object result = Napi::Object::New(env);
  result.Set("advantages", advantages);
  result.Set("returns", returns);
  return result;
}

// whiten(values, mask, {eps, keepMean}): number of tokens; changes `values`.
Napi::Value whiten_of(const Napi::CallbackInfo& info) {
  const std::span<float> values = read_float32(argument(info, 0), "values");
  const auto T = static_cast<int64_t>(values.size());
  const std::span<uint8_t> mask = read_uint8(argument(info, 1), "mask", T);
  const Napi::Object options = read_object(argument(info, 2), "options", {"eps", "keepMean"});
  const int64_t n =
      whiten(values.data(), mask.data(), T, number_or(options, "eps", 1e-8), boolean_or(options, "keepMean", false));
  return Napi::Number::New(info.Env(), static_cast<double>(n));
}

// correctionWeights(oldLogprobs, sampledLogprobs, mask, seqStarts, options): {weights, keep, ...counts}.
Napi::Value correction_weights_of(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::span<float> old_logprobs = read_float32(argument(info, 0), "oldLogprobs");
  const auto T = static_cast<int64_t>(old_logprobs.size());
  const std::span<float> sampled = read_float32(argument(info, 1), "sampledLogprobs", T);
  const std::span<uint8_t> mask = read_uint8(argument(info, 2), "mask", T);
  const std::span<int32_t> starts = read_starts(argument(info, 3), T);
  const Napi::Object choices =
      read_object(argument(info, 4), "options", {"level", "cap", "reject", "low", "high", "normalise"});
  constexpr Named<CorrectionOptions::Level> kLevels[] = {{"token", CorrectionOptions::Level::kToken},
                                                         {"sequence", CorrectionOptions::Level::kSequence},
                                                         {"geometric", CorrectionOptions::Level::kGeometric}};
  constexpr Named<CorrectionOptions::Reject> kRejects[] = {{"none", CorrectionOptions::Reject::kNone},
                                                           {"mask", CorrectionOptions::Reject::kMask},
                                                           {"zero", CorrectionOptions::Reject::kZero}};
  CorrectionOptions options;
  options.level = read_choice(choices, "level", kLevels);
  options.cap = number_or(choices, "cap", 0);
  if (!is_absent(property(choices, "reject"))) options.reject = read_choice(choices, "reject", kRejects);
  options.low = number_or(choices, "low", 0);
  options.high = number_or(choices, "high", 0);
  options.normalise = boolean_or(choices, "normalise", false);
  Napi::Float32Array weights = Napi::Float32Array::New(env, old_logprobs.size());
  Napi::Uint8Array keep = Napi::Uint8Array::New(env, old_logprobs.size());
  const CorrectionStats stats =
      correction_weights(options, static_cast<int64_t>(starts.size()) - 1, starts.data(), mask.data(),
                         old_logprobs.data(), sampled.data(), weights.Data(), keep.Data());
  Napi::Object result = Napi::Object::New(env);
  result.Set("weights", weights);
  result.Set("keep", keep);
  result.Set("tokens", static_cast<double>(stats.tokens));
  result.Set("capped", static_cast<double>(stats.capped));
  result.Set("rejected", static_cast<double>(stats.rejected));
  result.Set("weightSum", stats.weight_sum);
  result.Set("weightMax", stats.weight_max);
  return result;
}

// klEstimates(kind, logprobs, refLogprobs, mask): Float32Array.
Napi::Value kl_estimates_of(const Napi::CallbackInfo& info) {
  constexpr Named<KlEstimate> kKinds[] = {
      {"k1", KlEstimate::kK1}, {"abs", KlEstimate::kAbs}, {"k2", KlEstimate::kK2}, {"k3", KlEstimate::kK3}};
  const Napi::Object options = read_object(argument(info, 0), "options", {"kind"});
  const std::span<float> logprobs = read_float32(argument(info, 1), "logprobs");
  const auto T = static_cast<int64_t>(logprobs.size());
  const std::span<float> reference = read_float32(argument(info, 2), "refLogprobs", T);
  const std::span<uint8_t> mask = read_uint8(argument(info, 3), "mask", T);
  Napi::Float32Array kl = Napi::Float32Array::New(info.Env(), logprobs.size());
  kl_estimates(read_choice(options, "kind", kKinds), T, mask.data(), logprobs.data(), reference.data(), kl.Data());
  return kl;
}

}  // namespace

void register_advantages(Napi::Env env, Napi::Object exports) {
  export_function<group_advantages_of>(env, exports, "groupAdvantages");
  export_function<token_returns_of>(env, exports, "tokenReturns");
  export_function<token_gae_of>(env, exports, "tokenGae");
  export_function<whiten_of>(env, exports, "whiten");
  export_function<correction_weights_of>(env, exports, "correctionWeights");
  export_function<kl_estimates_of>(env, exports, "klEstimates");
}

}  // namespace toolgrad
