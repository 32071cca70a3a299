// Group advantages for JavaScript (synchronous: they take microseconds), and the options of the policy loss.
#include "napi/losses.h"

#include <cstdint>
#include <string>

#include "engine/advantages.h"
#include "napi/args.h"
#include "napi/guard.h"
#include "napi/register.h"

namespace toolgrad {
namespace {

template <class T>
struct Named {
  const char* name;
  T value;
};

// The value called `value[key]`; RangeError with all names when there is none.
template <class T, size_t N>
T read_choice(Napi::Object object, const char* key, const Named<T> (&choices)[N]) {
  const Napi::Value value = property(object, key);
  std::string all = "one of ";
  for (const Named<T>& choice : choices) all += (&choice == choices ? "" : ", ") + std::string(choice.name);
  if (!value.IsString()) throw_wrong_type(value, all, key);
  const std::string name = value.As<Napi::String>();
  for (const Named<T>& choice : choices)
    if (name == choice.name) return choice.value;
  throw_out_of_range(value, all, key);
}

// groupAdvantages(rewards, valid, groupSize, {kind, std, eps}): {advantages, deadGroups}.
Napi::Value group_advantages_of(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::span<float> rewards = read_float32(argument(info, 0), "rewards");
  const auto count = static_cast<int64_t>(rewards.size());
  const std::span<uint8_t> valid = read_uint8(argument(info, 1), "valid", count);
  const int64_t group_size = read_positive_integer(argument(info, 2), "groupSize");
  if (count % group_size != 0)
    throw_out_of_range(argument(info, 2), "a divisor of the " + std::to_string(count) + " rewards", "groupSize");
  const Napi::Object choices = read_object(argument(info, 3), "options", {"kind", "std", "eps"});

  constexpr Named<AdvantageOptions::Baseline> kKinds[] = {{"grpo", AdvantageOptions::Baseline::kGroupMean},
                                                          {"rloo", AdvantageOptions::Baseline::kLeaveOneOut}};
  constexpr Named<AdvantageOptions::Std> kStds[] = {{"sample", AdvantageOptions::Std::kSample},
                                                    {"population", AdvantageOptions::Std::kPopulation},
                                                    {"none", AdvantageOptions::Std::kNone}};
  AdvantageOptions options;
  options.baseline = read_choice(choices, "kind", kKinds);
  options.std = read_choice(choices, "std", kStds);
  options.eps = read_number(property(choices, "eps"), "eps");

  Napi::Float32Array advantages = Napi::Float32Array::New(env, rewards.size());
  const AdvantageStats stats =
      group_advantages(options, rewards.data(), count / group_size, group_size, valid.data(), advantages.Data());
  Napi::Object result = Napi::Object::New(env);
  result.Set("advantages", advantages);
  result.Set("deadGroups", static_cast<double>(stats.dead_groups));
  return result;
}

}  // namespace

PolicyLossOptions read_loss_options(Napi::Value value, bool with_value_part) {
  using Kind = PolicyLossOptions::Kind;
  using Kl = PolicyLossOptions::Kl;
  constexpr Named<Kind> kKinds[] = {{"cross_entropy", Kind::kCrossEntropy},
                                    {"reinforce", Kind::kReinforce},
                                    {"ppo_clip", Kind::kPpoClip},
                                    {"gspo", Kind::kGspo},
                                    {"gspo_token", Kind::kGspoToken},
                                    {"sequence_ppo", Kind::kSequencePpo},
                                    {"cispo", Kind::kCispo}};
  constexpr Named<Kl> kKls[] = {
      {"none", Kl::kNone}, {"k2", Kl::kK2}, {"k3", Kl::kK3}, {"k1+", Kl::kK1Plus}, {"k3+", Kl::kK3Plus}};
  const Napi::Object object =
      read_object(value, "loss",
                  {"kind", "clipLow", "clipHigh", "dualClip", "ratioCap", "kl", "klCoef", "klTimesRatio", "entropyCoef",
                   "entropyWeight", "logRatioClamp", "sequenceLogRatioMax", "klClamp", "value"});
  if (!with_value_part && !is_absent(property(object, "value")))
    throw_out_of_range(property(object, "value"), "nothing (the value loss belongs to Model.accumulate)", "loss.value");
  PolicyLossOptions o;
  const auto read_float = [&object](const char* key, float* option) {
    *option = static_cast<float>(number_or(object, key, static_cast<double>(*option)));
  };
  o.kind = read_choice(object, "kind", kKinds);
  read_float("clipLow", &o.clip_low);
  read_float("clipHigh", &o.clip_high);
  read_float("dualClip", &o.dual_clip);
  read_float("ratioCap", &o.ratio_cap);
  if (!is_absent(property(object, "kl"))) o.kl = read_choice(object, "kl", kKls);
  read_float("klCoef", &o.kl_coef);
  o.kl_times_ratio = boolean_or(object, "klTimesRatio", o.kl_times_ratio);
  read_float("entropyCoef", &o.entropy_coef);
  read_float("entropyWeight", &o.entropy_weight);
  read_float("logRatioClamp", &o.log_ratio_clamp);
  read_float("sequenceLogRatioMax", &o.sequence_log_ratio_max);
  read_float("klClamp", &o.kl_clamp);
  return o;
}

void register_losses(Napi::Env env, Napi::Object exports) {
  export_function<group_advantages_of>(env, exports, "groupAdvantages");
}

}  // namespace toolgrad
