// Walks the sequences of a batch: checks inputs, computes ratios (per token or per sequence), terms, gradients,
// statistics.
#include "engine/policy_loss.h"

#include <algorithm>
#include <string>

#include "engine/error.h"

namespace toolgrad {
namespace {

using Kind = PolicyLossOptions::Kind;
using Kl = PolicyLossOptions::Kl;

[[noreturn]] void bad_option(const std::string& message) {
  throw Error("ERR_LOSS_OPTION", "policy_loss: " + message);
}

void check_options(const PolicyLossOptions& o) {
  const auto range = [](const char* name, float value, float low, float high) {
    if (!(value >= low && value <= high))
      bad_option(std::string(name) + ": expected a number in [" + std::to_string(low) + ", " + std::to_string(high) +
                 "] but received " + std::to_string(value));
  };
  constexpr float kLarge = 1e30f;
  if (o.kind == Kind::kCispo) {
    range("clip_low", o.clip_low, 0, kLarge);
    range("clip_high", o.clip_high, o.clip_low, kLarge);
  } else if (uses_ratio(o.kind)) {
    range("clip_low", o.clip_low, 0, 1);
    range("clip_high", o.clip_high, 0, kLarge);
  }
  if (o.dual_clip != 0 && !(o.dual_clip > 1))
    bad_option("dual_clip: expected 0 (off) or a number above 1 but received " + std::to_string(o.dual_clip));
  range("ratio_cap", o.ratio_cap, 0, kLarge);
  range("kl_coef", o.kl_coef, 0, kLarge);
  range("entropy_coef", o.entropy_coef, -kLarge, kLarge);
  range("entropy_weight", o.entropy_weight, 0, kLarge);
  range("log_ratio_clamp", o.log_ratio_clamp, 0, kLarge);
  range("sequence_log_ratio_max", o.sequence_log_ratio_max, 0, kLarge);
  range("kl_clamp", o.kl_clamp, 0, kLarge);
  if (o.kl_times_ratio && !uses_ratio(o.kind))
    bad_option("kl_times_ratio needs a loss with a ratio; cross_entropy and reinforce have none");
}

void check_arrays(const PolicyLossOptions& o, const PolicyLossBatch& b, const PolicyLossResult& r) {
  const auto need = [](const void* array, const char* name, const char* why) {
    if (array == nullptr)
      throw Error("ERR_LOSS_INPUT", std::string("policy_loss: ") + name + " is required " + why + " but is missing");
  };
  need(b.seq_starts, "seq_starts", "always");
  need(b.logprob, "logprob", "always");
  need(b.weight, "weight", "always");
  need(r.d_logprob, "d_logprob", "always");
  if (o.kind != Kind::kCrossEntropy) need(b.advantage, "advantage", "by every loss but cross_entropy");
  if (uses_ratio(o.kind)) need(b.old_logprob, "old_logprob", "by losses with a ratio");
  if (o.kl != Kl::kNone) need(b.ref_logprob, "ref_logprob", "by the KL term");
  if (o.entropy_coef != 0) {
    need(b.entropy, "entropy", "when entropy_coef is not 0");
    need(r.d_entropy, "d_entropy", "when entropy_coef is not 0");
  }
}

void check_finite(double value, const char* quantity, int64_t token) {
  if (!std::isfinite(value))
    throw Error("ERR_NOT_FINITE", "policy_loss: " + std::string(quantity) + " of token " + std::to_string(token) +
                                      " is " + (std::isnan(value) ? "NaN" : "infinite") + "; expected a finite number");
}

// One sequence [begin, end): reads the batch, writes the gradients, adds to the statistics.
class SequenceLoss {
 public:
  SequenceLoss(const PolicyLossOptions& options, const PolicyLossBatch& batch, PolicyLossResult* result, int64_t begin,
               int64_t end)
      : o_(options), b_(batch), r_(result), begin_(begin), end_(end) {}

  void run() {
    for (int64_t t = begin_; t < end_; ++t) {
      r_->d_logprob[t] = 0;
      if (r_->d_entropy != nullptr) r_->d_entropy[t] = 0;
      check_token(t);
    }
    if (uses_sequence_ratio(o_.kind)) find_sequence_ratio();
    for (int64_t t = begin_; t < end_; ++t)
      if (in_loss(t)) add_token(t);
    // Gradient through a ratio all tokens share; every token of the sequence gets the same addition.
    if (shared_gradient_ != 0)
      for (int64_t t = begin_; t < end_; ++t)
        if (in_loss(t)) store_gradient(t, static_cast<double>(r_->d_logprob[t]) + shared_gradient_ * sequence_.share);
  }

 private:
  bool in_loss(int64_t t) const { return b_.weight[t] != 0; }
  double log_ratio(int64_t t) const {
    return b_.old_logprob == nullptr ? 0.0
                                     : static_cast<double>(b_.logprob[t]) - static_cast<double>(b_.old_logprob[t]);
  }

  void check(double value, const char* quantity, int64_t t) const { check_finite(value, quantity, b_.name(t)); }

  void check_token(int64_t t) const {
    const float weight = b_.weight[t];
    check(weight, "weight", t);
    if (weight < 0)
      throw Error("ERR_LOSS_INPUT", "policy_loss: weight of token " + std::to_string(b_.name(t)) + " is " +
                                        std::to_string(weight) + "; expected 0 (not in the loss) or a positive number");
    if (weight == 0) return;
    check(b_.logprob[t], "logprob", t);
    if (b_.old_logprob != nullptr) check(b_.old_logprob[t], "old_logprob", t);
    if (o_.kl != Kl::kNone) check(b_.ref_logprob[t], "ref_logprob", t);
    if (o_.kind != Kind::kCrossEntropy) check(b_.advantage[t], "advantage", t);
    if (b_.policy_weight != nullptr) check(b_.policy_weight[t], "policy_weight", t);
    if (b_.entropy != nullptr) check(b_.entropy[t], "entropy", t);
  }

  void find_sequence_ratio() {
    int64_t tokens = 0;
    double sum = 0;
    for (int64_t t = begin_; t < end_; ++t) {
      if (!in_loss(t)) continue;
      sum += log_ratio(t);
      ++tokens;
    }
    if (tokens > 0) sequence_ = sequence_ratio(sum, tokens, o_);
  }

  void add_token(int64_t t) {
    const bool has_old = b_.old_logprob != nullptr;
    LossToken token{b_.weight[t], b_.logprob[t], 0, 0, 0, 1, has_old};
    if (has_old) token.old_logprob = b_.old_logprob[t];
    if (o_.kl != Kl::kNone) token.ref_logprob = b_.ref_logprob[t];
    if (o_.kind != Kind::kCrossEntropy) token.advantage = b_.advantage[t];
    if (b_.policy_weight != nullptr) token.correction = b_.policy_weight[t];
    const LossTerm term = loss_term(token, sequence_, o_);
    check(term.ratio, "ratio exp(logprob - old_logprob)", t);

    r_->policy_loss += term.policy_loss;
    r_->kl_loss += term.kl_loss;
    r_->kl_sum += term.kl;
    if (uses_sequence_ratio(o_.kind) && o_.kind != Kind::kGspoToken) {
      shared_gradient_ += term.by_ratio;
      store_gradient(t, term.direct);
    } else {
      store_gradient(t, term.direct + term.by_ratio);
    }
    add_entropy(t, token.weight);

    ++r_->tokens;
    r_->ratio_sum += term.ratio;
    r_->ratio_max = std::max(r_->ratio_max, term.ratio);
    r_->old_kl_sum -= term.log_ratio;
    r_->abs_log_ratio_max = std::max(r_->abs_log_ratio_max, std::fabs(term.log_ratio));
    r_->clip_low_count += term.clip_low;
    r_->clip_high_count += term.clip_high;
    r_->dual_clip_count += term.dual_clip;
    r_->clamp_count += term.clamped;
  }

  void add_entropy(int64_t t, double weight) {
    if (b_.entropy == nullptr) return;
    const double share = entropy_weight(weight, o_);
    r_->entropy_sum += static_cast<double>(b_.entropy[t]);
    r_->entropy_bonus += share * static_cast<double>(b_.entropy[t]);
    if (r_->d_entropy != nullptr) r_->d_entropy[t] = static_cast<float>(-static_cast<double>(o_.entropy_coef) * share);
  }

  void store_gradient(int64_t t, double gradient) {
    const float rounded = static_cast<float>(gradient);
    check(rounded, "gradient", t);
    r_->d_logprob[t] = rounded;
  }

  const PolicyLossOptions& o_;
  const PolicyLossBatch& b_;
  PolicyLossResult* r_;
  const int64_t begin_, end_;
  SequenceRatio sequence_;
  double shared_gradient_ = 0;  // sum over tokens of d loss / d (sequence log ratio)
};

}  // namespace

void PolicyLossStats::add(const PolicyLossStats& other) {
  loss += other.loss;
  policy_loss += other.policy_loss;
  kl_loss += other.kl_loss;
  entropy_bonus += other.entropy_bonus;
  tokens += other.tokens;
  kl_sum += other.kl_sum;
  entropy_sum += other.entropy_sum;
  ratio_sum += other.ratio_sum;
  ratio_max = std::max(ratio_max, other.ratio_max);
  old_kl_sum += other.old_kl_sum;
  abs_log_ratio_max = std::max(abs_log_ratio_max, other.abs_log_ratio_max);
  clip_low_count += other.clip_low_count;
  clip_high_count += other.clip_high_count;
  dual_clip_count += other.dual_clip_count;
  clamp_count += other.clamp_count;
}

void check_policy_loss(const PolicyLossOptions& options, const PolicyLossBatch& batch, const PolicyLossResult& result) {
  check_options(options);
  check_arrays(options, batch, result);
}

void policy_loss(const PolicyLossOptions& options, const PolicyLossBatch& batch, PolicyLossResult* result) {
  check_policy_loss(options, batch, *result);
  static_cast<PolicyLossStats&>(*result) = PolicyLossStats{};
  for (int64_t s = 0; s < batch.S; ++s)
    SequenceLoss(options, batch, result, batch.seq_starts[s], batch.seq_starts[s + 1]).run();
  result->loss = result->policy_loss + static_cast<double>(options.kl_coef) * result->kl_loss -
                 static_cast<double>(options.entropy_coef) * result->entropy_bonus;
}

}  // namespace toolgrad
