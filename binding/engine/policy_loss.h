// The policy loss: per token from log-probs, advantages and weights to the loss, its gradient and its statistics.
//
// Total loss = sum_t weight[t] * (policy_t + kl_coef * kl_t) - entropy_coef * sum_t entropy_weight_t * entropy[t].
// weight[t] = mask times reduction factor, >= 0: every reduction (token mean, sequence mean of token means, sum over a
// constant) is a choice of weights. A token of weight 0 is not in the loss: none of its inputs is read, its gradients
// are 0. Scalar arithmetic is in double, in host-device inline functions (C++17), so that GPU code shares the formulas.
// Sums run over tokens in order; a token's gradient depends on its own sequence only. Neither function allocates or
// keeps memory.
#pragma once

#include <cmath>
#include <cstdint>

#include "engine/host_device.h"

namespace toolgrad {

/// What is minimised. Names and definitions: PPO (Schulman 2017, eq. 7), GRPO and DAPO use kPpoClip; GSPO (Zheng 2025,
/// eq. 5), CISPO (MiniMax-M1 2025, eq. 4).
struct PolicyLossOptions {
  enum class Kind {
    kCrossEntropy,  // -logprob (SFT); no advantage
    kReinforce,     // -A logprob
    kPpoClip,       // -min(r A, clip(r, 1 - clip_low, 1 + clip_high) A), r = exp(logprob - old)
    kGspo,         // the same with s = exp(mean over the sequence's tokens of logprob - old); gradient through the mean
    kGspoToken,    // value of kGspo, gradient of token t through its own log-prob only (verl's "gspo")
    kSequencePpo,  // the same with exp(SUM over the sequence's tokens): the PPO form of RLOO
    kCispo,        // -sg(clip(r, clip_low, clip_high)) A logprob; ABSOLUTE bounds, clip_low 0 = no lower bound
  };
  /// Estimate of KL(policy || reference) added to the loss. k1+ and k3+ have k1's and k3's value and k2's gradient.
  /// Bare k1 is absent on purpose: as a loss its gradient does not depend on the reference.
  enum class Kl { kNone, kK2, kK3, kK1Plus, kK3Plus };

  Kind kind = Kind::kPpoClip;
  float clip_low = 0.2f, clip_high = 0.2f;
  float dual_clip = 0;  // c > 1: for A < 0 the term is at most -c A (Ye 2020); 0 = off
  float ratio_cap = 0;  // cap of the ratio in the unclipped branch, both signs of A (TRL's delta); 0 = off
  Kl kl = Kl::kNone;
  float kl_coef = 0;
  bool kl_times_ratio = false;  // multiply the KL term by the ratio, gradient through both (TRL's default)
  float entropy_coef = 0;       // bonus: subtracted from the loss
  float entropy_weight =
      0;  // 0: the loss's own weights; else this constant for each token in the loss (1/N: token mean)
  // Bounds on exponents. Beyond them the value is held and the gradient is zero; such tokens are counted. 0 = off: then
  // a result that overflows is an error. verl: 20, 10, 10. TRL: 0, 0, 0.
  float log_ratio_clamp = 20;         // logprob - old and (k3) ref - logprob, both sides
  float sequence_log_ratio_max = 20;  // sequence mean or sum, from above
  float kl_clamp = 0;                 // |k3|; from k3 = 10 on (2.6 nats) this changes ordinary tokens
};

/// Token-aligned inputs of S packed sequences. "The sequence's tokens" are those with weight > 0.
struct PolicyLossBatch {
  int64_t T = 0, S = 0;
  const int32_t* seq_starts = nullptr;   // [S + 1]
  const float* logprob = nullptr;        // [T] nats, under the weights being trained
  const float* entropy = nullptr;        // [T] nats; may be null when entropy_coef is 0
  const float* old_logprob = nullptr;    // [T]; may be null for kCrossEntropy and kReinforce
  const float* ref_logprob = nullptr;    // [T]; may be null without KL
  const float* advantage = nullptr;      // [T]; may be null for kCrossEntropy
  const float* weight = nullptr;         // [T], >= 0
  const float* policy_weight = nullptr;  // [T] off-policy correction on the policy term only, no gradient; null = 1
};

/// Sums and counts over the tokens with weight > 0; micro-batches are merged with add().
struct PolicyLossStats {
  double loss = 0;           // the total
  double policy_loss = 0;    // sum weight * policy term
  double kl_loss = 0;        // sum weight * kl (times the ratio if so configured), without kl_coef
  double entropy_bonus = 0;  // sum entropy_weight_t * entropy, without entropy_coef
  int64_t tokens = 0;
  double kl_sum = 0, entropy_sum = 0;   // plain sums: divide by tokens
  double ratio_sum = 0, ratio_max = 0;  // the ratio the loss uses (of the sequence for sequence kinds)
  double old_kl_sum = 0;                // sum of old - logprob (k1 estimate of KL(old || policy))
  double abs_log_ratio_max = 0;         // max |logprob - old|
  int64_t clip_low_count = 0;           // A < 0 and ratio below the lower bound (CISPO: any A)
  int64_t clip_high_count = 0;          // A > 0 and ratio above the upper bound (CISPO: any A)
  int64_t dual_clip_count = 0;
  int64_t clamp_count = 0;  // tokens at a bound on an exponent

  void add(const PolicyLossStats& other);
};

/// Statistics plus the gradients; the caller provides the arrays.
struct PolicyLossResult : PolicyLossStats {
  float* d_logprob = nullptr;  // [T] d loss / d logprob, overwritten
  float* d_entropy = nullptr;  // [T] d loss / d entropy, overwritten; may be null when entropy_coef is 0
};

/// Computes the loss of one batch. Errors: ERR_LOSS_OPTION (impossible option), ERR_LOSS_INPUT (an array the options
/// need is missing, a negative weight), ERR_NOT_FINITE (an input or a result is NaN or infinite; names the token and
/// the quantity).
void policy_loss(const PolicyLossOptions& options, const PolicyLossBatch& batch, PolicyLossResult* result);

// ---- scalar formulas, shared with other devices ----

/// Clipped value of an exponent and whether its gradient still flows (closed interval, as torch.clamp).
struct ClampedLog {
  double value;
  bool inside;
};
TOOLGRAD_HOST_DEVICE ClampedLog clamp_log(double x, double low, double high) {
  if (x < low) return {low, false};
  if (x > high) return {high, false};
  return {x, true};
}

/// One policy term and its derivative by the log of the ratio.
struct RatioTerm {
  double loss, d_log_ratio;
  bool clip_low, clip_high, dual_clip;
};

/// PPO's clipped term with optional dual clip and ratio cap. At a tie of the branches the unclipped gradient flows.
TOOLGRAD_HOST_DEVICE RatioTerm clipped_term(double ratio, double advantage, const PolicyLossOptions& o) {
  const double low = 1.0 - static_cast<double>(o.clip_low), high = 1.0 + static_cast<double>(o.clip_high);
  RatioTerm term{0, 0, advantage < 0 && ratio<low, advantage> 0 && ratio > high, false};
  const bool capped = o.ratio_cap > 0 && ratio > static_cast<double>(o.ratio_cap);
  const double free_ratio = capped ? static_cast<double>(o.ratio_cap) : ratio;
  const double clipped_ratio = ratio < low ? low : ratio > high ? high : ratio;
  const double free_loss = -free_ratio * advantage, clipped_loss = -clipped_ratio * advantage;
  const bool flat = clipped_loss > free_loss;
  term.loss = flat ? clipped_loss : free_loss;
  // A tie between a capped and an unclipped ratio passes no gradient either: the cap holds the value.
  term.d_log_ratio = flat || capped ? 0.0 : -ratio * advantage;
  if (flat && clipped_ratio == ratio) term.d_log_ratio = -ratio * advantage;
  if (o.dual_clip > 0 && advantage < 0) {
    const double bound = -static_cast<double>(o.dual_clip) * advantage;
    if (term.loss > bound) {
      term.loss = bound;
      term.d_log_ratio = 0;
      term.dual_clip = true;
    }
  }
  return term;
}

/// One KL term (before kl_coef) and its derivative by logprob. `delta` = ref - logprob.
struct KlTerm {
  double value, d_logprob;
  bool clamped;
};
TOOLGRAD_HOST_DEVICE KlTerm kl_term(double delta, const PolicyLossOptions& o) {
  using Kl = PolicyLossOptions::Kl;
  switch (o.kl) {
    case Kl::kNone:
      return {0, 0, false};
    case Kl::kK2:
      return {0.5 * delta * delta, -delta, false};
    case Kl::kK1Plus:
      return {-delta, -delta, false};
    case Kl::kK3:
    case Kl::kK3Plus:
      break;
  }
  const double bound = o.log_ratio_clamp > 0 ? static_cast<double>(o.log_ratio_clamp) : HUGE_VAL;
  const ClampedLog x = clamp_log(delta, -bound, bound);
  const double grown = expm1(x.value);
  const double bound_k3 = o.kl_clamp > 0 ? static_cast<double>(o.kl_clamp) : HUGE_VAL;
  const ClampedLog k3 = clamp_log(grown - x.value, -bound_k3, bound_k3);
  const bool inside = x.inside && k3.inside;
  if (o.kl == Kl::kK3Plus) return {k3.value, -delta, !inside};
  return {k3.value, inside ? -grown : 0.0, !inside};
}

}  // namespace toolgrad
