// Walks the tokens of a batch: checks inputs, terms, gradients, statistics; see value_loss.h.
#include "engine/value_loss.h"

#include <string>

#include "engine/error.h"

namespace toolgrad {
namespace {

void check_option(const char* name, float value) {
  if (value >= 0 && std::isfinite(value)) return;
  throw Error("ERR_LOSS_OPTION", std::string("value_loss: ") + name +
                                     ": expected a finite number of 0 or more but received " + std::to_string(value));
}

void check_array(const float* array, const char* name, const char* why) {
  if (array != nullptr) return;
  throw Error("ERR_LOSS_INPUT", std::string("value_loss: ") + name + " is required " + why + " but is missing");
}

void check_finite(float value, const char* quantity, int64_t token) {
  if (std::isfinite(value)) return;
  throw Error("ERR_NOT_FINITE", "value_loss: " + std::string(quantity) + " of token " + std::to_string(token) + " is " +
                                    (std::isnan(value) ? "NaN" : "infinite") + "; expected a finite number");
}

}  // namespace

void ValueLossStats::add(const ValueLossStats& other) {
  loss += other.loss;
  tokens += other.tokens;
  clip_count += other.clip_count;
  value_sum += other.value_sum;
  return_sum += other.return_sum;
  return_squares += other.return_squares;
  residual_sum += other.residual_sum;
  residual_squares += other.residual_squares;
}

ValueLossStats value_loss(const ValueLossOptions& options, const ValueLossBatch& batch, float* d_value) {
  check_option("clip", options.clip);
  check_option("coef", options.coef);
  check_array(batch.value, "value", "always");
  check_array(batch.returns, "returns", "always");
  check_array(batch.weight, "weight", "always");
  check_array(d_value, "d_value", "always");
  const bool clips = options.clip > 0;
  if (clips) check_array(batch.old_value, "old_value", "when clip is not 0");

  ValueLossStats stats;
  for (int64_t t = 0; t < batch.T; ++t) {
    d_value[t] = 0;
    check_finite(batch.weight[t], "weight", t);
    const double weight = batch.weight[t];
    if (weight < 0)
      throw Error("ERR_LOSS_INPUT", "value_loss: weight of token " + std::to_string(t) + " is " +
                                        std::to_string(weight) + "; expected 0 (not in the loss) or a positive number");
    if (weight == 0) continue;
    check_finite(batch.value[t], "value", t);
    check_finite(batch.returns[t], "return", t);
    if (clips) check_finite(batch.old_value[t], "old value", t);

    const double value = batch.value[t], target = batch.returns[t], residual = target - value;
    const ValueTerm term = value_term(value, clips ? static_cast<double>(batch.old_value[t]) : 0.0, target,
                                      static_cast<double>(options.clip));
    d_value[t] = static_cast<float>(static_cast<double>(options.coef) * weight * term.d_value);
    check_finite(d_value[t], "gradient", t);
    stats.loss += weight * term.loss;
    ++stats.tokens;
    stats.clip_count += term.clipped;
    stats.value_sum += value;
    stats.return_sum += target;
    stats.return_squares += target * target;
    stats.residual_sum += residual;
    stats.residual_squares += residual * residual;
  }
  return stats;
}

}  // namespace toolgrad
