// Correction of rollouts that the weights being trained did not sample: weights on the policy term (truncated importance
// sampling; Yao 2025), and rejection of what is too far off. KL estimates without gradient, for KL in the reward.
//
// Everything is a function of log-probs that are already there (lo: under the weights at the start of the rollout batch;
// ls: as sampled), so nothing here has a gradient. "Policy tokens" are those with mask != 0. Arithmetic in double.
#pragma once

#include <cmath>
#include <cstdint>

#include "engine/host_device.h"

namespace toolgrad {

constexpr double kLogWeightBound = 20;  // exponents are held to +-20, as in verl

struct CorrectionOptions {
  enum class Level {
    kToken,     // w_t = exp(lo - ls)
    kSequence,  // w = exp(sum over the sequence's policy tokens), the same for each of them
    kGeometric  // w = exp(mean over the sequence's policy tokens)
  };
  enum class Reject {
    kNone,
    kMask,  // outside [low, high] a token (or sequence) leaves the loss: denominators shrink (verl)
    kZero   // outside [low, high] its weight is 0: denominators stay (IcePop)
  };
  Level level = Level::kToken;
  double cap = 2;  // weights are cut to at most this; 0 = no cap
  Reject reject = Reject::kNone;
  double low = 0, high = 0;  // bounds of rejection on the weight before the cap; high 0 = no upper bound
  bool normalise =
      false;  // divide by the mean weight of the batch (over policy tokens; over sequences when not by token)
};

struct CorrectionStats {
  int64_t tokens = 0, capped = 0, rejected = 0;  // policy tokens
  double weight_sum = 0, weight_max = 0;         // of exp(log weight) before cap and rejection
};

/// Estimates of KL(pi || reference) at one token, d = lp - lr.
enum class KlEstimate { kK1, kAbs, kK2, kK3 };
TOOLGRAD_HOST_DEVICE double kl_estimate(KlEstimate kind, double logprob, double reference) {
  const double d = logprob - reference;
  switch (kind) {
    case KlEstimate::kK1:
      return d;
    case KlEstimate::kAbs:
      return std::fabs(d);
    case KlEstimate::kK2:
      return 0.5 * d * d;
    default: {
      const double e = -d < -kLogWeightBound ? -kLogWeightBound : (-d > kLogWeightBound ? kLogWeightBound : -d);
      return std::exp(e) - 1 - e;
    }
  }
}

/// Writes weight [T] (0 off the mask) and keep [T]: mask without the tokens rejected by kMask. Errors:
/// ERR_CORRECTION_OPTION (bounds), ERR_NOT_FINITE (names the token).
CorrectionStats correction_weights(const CorrectionOptions& options, int64_t S, const int32_t* seq_starts,
                                   const uint8_t* mask, const float* old_logprob, const float* sampled_logprob,
                                   float* weight, uint8_t* keep);

/// kl [T]: the estimate at every policy token, 0 elsewhere.
void kl_estimates(KlEstimate kind, int64_t T, const uint8_t* mask, const float* logprob, const float* reference,
                  float* kl);

}  // namespace toolgrad
