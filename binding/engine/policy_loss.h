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
  const int32_t* names = nullptr;        // [T], on the host: the number by which errors call a token; null = its index

  int64_t name(int64_t t) const { return names == nullptr ? t : names[t]; }
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

/// The part of the checks that reads no array: ERR_LOSS_OPTION, ERR_LOSS_INPUT (a missing array). For backends that walk
/// the tokens themselves.
void check_policy_loss(const PolicyLossOptions& options, const PolicyLossBatch& batch, const PolicyLossResult& result);

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

TOOLGRAD_HOST_DEVICE bool uses_ratio(PolicyLossOptions::Kind kind) {
  return kind != PolicyLossOptions::Kind::kCrossEntropy && kind != PolicyLossOptions::Kind::kReinforce;
}
TOOLGRAD_HOST_DEVICE bool uses_sequence_ratio(PolicyLossOptions::Kind kind) {
  using Kind = PolicyLossOptions::Kind;
  return kind == Kind::kGspo || kind == Kind::kGspoToken || kind == Kind::kSequencePpo;
}
TOOLGRAD_HOST_DEVICE double bound_or_infinity(float bound) {
  return bound > 0 ? static_cast<double>(bound) : HUGE_VAL;
}

/// What all tokens of a sequence share under a sequence-level ratio.
struct SequenceRatio {
  ClampedLog log{0, true};
  double share = 1;  // d (sequence log ratio) / d logprob of one token
};
/// `log_ratio_sum` over the sequence's `tokens` > 0.
TOOLGRAD_HOST_DEVICE SequenceRatio sequence_ratio(double log_ratio_sum, int64_t tokens, const PolicyLossOptions& o) {
  SequenceRatio ratio;
  ratio.share = o.kind == PolicyLossOptions::Kind::kSequencePpo ? 1.0 : 1.0 / static_cast<double>(tokens);
  ratio.log = clamp_log(log_ratio_sum * ratio.share, -HUGE_VAL, bound_or_infinity(o.sequence_log_ratio_max));
  return ratio;
}

/// The inputs of one token in the loss; those that the options do not use are not read.
struct LossToken {
  double weight;
  float logprob, old_logprob, ref_logprob, advantage;
  double correction;  // policy_weight, or 1
  bool has_old;       // old_logprob is given
};
/// What one token adds to the loss, its derivatives and its share of the statistics.
struct LossTerm {
  double policy_loss = 0, kl_loss = 0;  // weighted
  double kl = 0, ratio = 1, log_ratio = 0;
  double direct = 0;    // d loss / d logprob that does not go through the ratio
  double by_ratio = 0;  // d loss / d (log of the ratio)
  bool clip_low = false, clip_high = false, dual_clip = false, clamped = false;
};

/// The policy term of one token; `direct` gets the derivative that does not go through the ratio.
TOOLGRAD_HOST_DEVICE RatioTerm policy_term(const LossToken& token, double ratio, const PolicyLossOptions& o,
                                           double* direct) {
  using Kind = PolicyLossOptions::Kind;
  const double logprob = token.logprob;
  *direct = 0;
  if (o.kind == Kind::kCrossEntropy) {
    *direct = -1;
    return {-logprob, 0, false, false, false};
  }
  const double advantage = token.advantage;
  if (o.kind == Kind::kReinforce) {
    *direct = -advantage;
    return {-advantage * logprob, 0, false, false, false};
  }
  if (o.kind == Kind::kCispo) {
    const double low = o.clip_low, high = o.clip_high;
    const double raised = ratio < low ? low : ratio;
    const double bounded = high < raised ? high : raised;
    *direct = -bounded * advantage;
    return {*direct * logprob, 0, ratio<low, ratio> high, false};
  }
  return clipped_term(ratio, advantage, o);
}

/// All of one token. `sequence` is read by sequence-level kinds only.
TOOLGRAD_HOST_DEVICE LossTerm loss_term(const LossToken& token, const SequenceRatio& sequence,
                                        const PolicyLossOptions& o) {
  LossTerm term;
  term.log_ratio = token.has_old ? static_cast<double>(token.logprob) - static_cast<double>(token.old_logprob) : 0.0;
  const double clamp = bound_or_infinity(o.log_ratio_clamp);
  const ClampedLog log = uses_sequence_ratio(o.kind) ? sequence.log : clamp_log(term.log_ratio, -clamp, clamp);
  term.ratio = exp(log.value);

  const RatioTerm policy = policy_term(token, term.ratio, o, &term.direct);
  term.by_ratio = log.inside ? token.weight * token.correction * policy.d_log_ratio : 0.0;
  term.direct = token.weight * token.correction * term.direct;
  term.policy_loss = token.weight * token.correction * policy.loss;

  KlTerm kl{0, 0, false};
  if (o.kl != PolicyLossOptions::Kl::kNone) {
    kl = kl_term(static_cast<double>(token.ref_logprob) - static_cast<double>(token.logprob), o);
    const double factor = o.kl_times_ratio ? term.ratio : 1.0;
    const double coefficient = token.weight * static_cast<double>(o.kl_coef);
    term.direct += coefficient * factor * kl.d_logprob;
    if (o.kl_times_ratio && log.inside) term.by_ratio += coefficient * term.ratio * kl.value;
    term.kl_loss = token.weight * factor * kl.value;
    term.kl = kl.value;
  }
  term.clip_low = policy.clip_low;
  term.clip_high = policy.clip_high;
  term.dual_clip = policy.dual_clip;
  term.clamped = (token.has_old && !log.inside) || kl.clamped;
  return term;
}

/// The weight of a token's entropy in the bonus.
TOOLGRAD_HOST_DEVICE double entropy_weight(double weight, const PolicyLossOptions& o) {
  return o.entropy_weight > 0 ? static_cast<double>(o.entropy_weight) : weight;
}

}  // namespace toolgrad
