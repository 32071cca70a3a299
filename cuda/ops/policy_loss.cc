// Launches policy_loss.cu and turns what it found wrong into the CPU's errors. Scratch slot 0: sums of sequences, slot 1:
// the totals and the report of faults.
#include "ops/policy_loss.h"

#include <string>

#include "engine/error.h"

namespace toolgrad::cuda {
namespace {

const char* quantity(LossFault what) {
  switch (what) {
    case LossFault::kWeight:
    case LossFault::kNegativeWeight:
      return "weight";
    case LossFault::kLogprob:
      return "logprob";
    case LossFault::kOldLogprob:
      return "old_logprob";
    case LossFault::kRefLogprob:
      return "ref_logprob";
    case LossFault::kAdvantage:
      return "advantage";
    case LossFault::kPolicyWeight:
      return "policy_weight";
    case LossFault::kEntropy:
      return "entropy";
    case LossFault::kRatio:
      return "ratio exp(logprob - old_logprob)";
    case LossFault::kGradient:
      return "gradient";
  }
  return "input";
}

[[noreturn]] void refuse(Launcher& launcher, unsigned long long report, const PolicyLossBatch& batch) {
  const unsigned long long code = ~report;
  const auto token = static_cast<int64_t>(code >> 8);
  const std::string name = std::to_string(batch.name(token));
  const auto what = static_cast<LossFault>(code >> 1 & 0x7f);
  if (what == LossFault::kNegativeWeight) {
    float weight = 0;
    launcher.download(&weight, batch.weight + token, sizeof weight);
    throw Error("ERR_LOSS_INPUT", "policy_loss: weight of token " + name + " is " + std::to_string(weight) +
                                      "; expected 0 (not in the loss) or a positive number");
  }
  throw Error("ERR_NOT_FINITE", std::string("policy_loss: ") + quantity(what) + " of token " + name + " is " +
                                    ((code & 1) != 0 ? "NaN" : "infinite") + "; expected a finite number");
}

}  // namespace

PolicyLossStats policy_loss(Launcher& launcher, const PolicyLossOptions& options, const PolicyLossBatch& batch,
                            float* d_logprob, float* d_entropy) {
  PolicyLossResult arrays;
  arrays.d_logprob = d_logprob;
  arrays.d_entropy = d_entropy;
  check_policy_loss(options, batch, arrays);
  PolicyLossStats stats;
  if (batch.S == 0) return stats;
  struct Answer {
    double total[kPolicyLossFields];
    unsigned long long fault;
  };
  auto* answer = launcher.scratch<Answer>(1, 1);
  auto* sums = launcher.scratch<double>(0, kPolicyLossFields * batch.S);
  launcher.zero(answer, sizeof(Answer));
  PolicyLossBatch on_device = batch;
  on_device.names = nullptr;
  launcher.launch(kernels::policy_loss_sequences, {batch.S},
                  {options, on_device, d_logprob, d_entropy, sums, &answer->fault});
  launcher.launch(kernels::policy_loss_total, {1}, {sums, answer->total, batch.S});
  Answer found;
  launcher.download(&found, answer, sizeof found);
  if (found.fault != 0) refuse(launcher, found.fault, batch);

  const double* total = found.total;
  const auto count = [&](PolicyLossField field) { return static_cast<int64_t>(total[field]); };
  stats.policy_loss = total[kLossPolicy];
  stats.kl_loss = total[kLossKl];
  stats.entropy_bonus = total[kLossEntropyBonus];
  stats.tokens = count(kLossTokens);
  stats.kl_sum = total[kLossKlSum];
  stats.entropy_sum = total[kLossEntropySum];
  stats.ratio_sum = total[kLossRatioSum];
  stats.ratio_max = total[kLossRatioMax];
  stats.old_kl_sum = total[kLossOldKlSum];
  stats.abs_log_ratio_max = total[kLossLogRatioMax];
  stats.clip_low_count = count(kLossClipLow);
  stats.clip_high_count = count(kLossClipHigh);
  stats.dual_clip_count = count(kLossDualClip);
  stats.clamp_count = count(kLossClamp);
  stats.loss = stats.policy_loss + static_cast<double>(options.kl_coef) * stats.kl_loss -
               static_cast<double>(options.entropy_coef) * stats.entropy_bonus;
  return stats;
}

}  // namespace toolgrad::cuda
