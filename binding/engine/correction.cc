#include "engine/correction.h"

#include <algorithm>
#include <string>

#include "engine/error.h"

namespace toolgrad {
namespace {

void check_options(const CorrectionOptions& o) {
  const auto fail = [](const std::string& what) { throw Error("ERR_CORRECTION_OPTION", what); };
  if (!(o.cap >= 0) || !std::isfinite(o.cap))
    fail("Expected a cap of 0 (none) or more but received " + std::to_string(o.cap));
  if (o.reject == CorrectionOptions::Reject::kNone) return;
  if (!(o.low >= 0) || !(o.high >= 0) || (o.high > 0 && o.high < o.low) || (o.low == 0 && o.high == 0))
    fail("Expected bounds of rejection 0 <= low <= high, one of them above 0, but received " + std::to_string(o.low) +
         " and " + std::to_string(o.high));
}

double bounded_exp(double x) {
  return std::exp(std::clamp(x, -kLogWeightBound, kLogWeightBound));
}

}  // namespace

CorrectionStats correction_weights(const CorrectionOptions& options, int64_t S, const int32_t* seq_starts,
                                   const uint8_t* mask, const float* old_logprob, const float* sampled_logprob,
                                   float* weight, uint8_t* keep) {
  check_options(options);
  using Level = CorrectionOptions::Level;
  using Reject = CorrectionOptions::Reject;
  CorrectionStats stats;
  double total = 0;
  int64_t units = 0;  // what the mean weight is over
  for (int64_t s = 0; s < S; ++s) {
    const int32_t begin = seq_starts[s], end = seq_starts[s + 1];
    double sum = 0;
    int64_t n = 0;
    for (int32_t t = begin; t < end; ++t) {
      weight[t] = 0;
      keep[t] = mask[t] != 0 ? 1 : 0;
      if (mask[t] == 0) continue;
      const double log_weight = static_cast<double>(old_logprob[t]) - static_cast<double>(sampled_logprob[t]);
      if (!std::isfinite(log_weight))
        throw Error("ERR_NOT_FINITE", "Expected finite log-probs but their difference at token " +
                                          std::to_string(t - begin) + " of sequence " + std::to_string(s) + " is " +
                                          std::to_string(log_weight));
      sum += log_weight;
      ++n;
    }
    if (n == 0) continue;
    const double whole = bounded_exp(options.level == Level::kGeometric ? sum / static_cast<double>(n) : sum);
    for (int32_t t = begin; t < end; ++t) {
      if (mask[t] == 0) continue;
      const double raw =
          options.level == Level::kToken
              ? bounded_exp(static_cast<double>(old_logprob[t]) - static_cast<double>(sampled_logprob[t]))
              : whole;
      double w = raw;
      ++stats.tokens;
      stats.weight_sum += raw;
      stats.weight_max = std::max(stats.weight_max, raw);
      if (options.cap > 0 && w > options.cap) {
        w = options.cap;
        ++stats.capped;
      }
      if (options.reject != Reject::kNone && (raw < options.low || (options.high > 0 && raw > options.high))) {
        w = 0;
        ++stats.rejected;
        if (options.reject == Reject::kMask) keep[t] = 0;
      }
      weight[t] = static_cast<float>(w);
      if (options.level == Level::kToken) total += w;
      if (options.level == Level::kToken) ++units;
      if (options.level != Level::kToken && n > 0) {
        total += w;
        ++units;
        n = 0;  // one unit a sequence
      }
    }
  }
  if (options.normalise && total > 0) {
    const double mean = total / static_cast<double>(units);
    for (int32_t t = seq_starts[0]; t < seq_starts[S]; ++t)
      weight[t] = static_cast<float>(static_cast<double>(weight[t]) / mean);
  }
  return stats;
}

void kl_estimates(KlEstimate kind, int64_t T, const uint8_t* mask, const float* logprob, const float* reference,
                  float* kl) {
  for (int64_t t = 0; t < T; ++t) {
    kl[t] = 0;
    if (mask[t] == 0) continue;
    const double value = kl_estimate(kind, static_cast<double>(logprob[t]), static_cast<double>(reference[t]));
    if (!std::isfinite(value))
      throw Error("ERR_NOT_FINITE",
                  "Expected a finite KL estimate but token " + std::to_string(t) + " has " + std::to_string(value));
    kl[t] = static_cast<float>(value);
  }
}

}  // namespace toolgrad
