// The options of the policy loss; see losses.h.
#include "napi/losses.h"

#include "napi/args.h"
#include "napi/choice.h"

namespace toolgrad {

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

}  // namespace toolgrad
