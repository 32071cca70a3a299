// The value loss of PPO's critic: per token from a value and its return to the loss, its gradient and its statistics.
//
// Loss = sum_t weight[t] * 0.5 * max((v - R)^2, (clip(v, v_old - c, v_old + c) - R)^2), times coef in the gradient
// (Schulman 2017, as in OpenAI's baselines, TRL and verl). weight[t] = mask times reduction factor, >= 0, as in
// policy_loss.h; a token of weight 0 is not in the loss: none of its inputs is read, its gradient is 0. Scalar
// arithmetic is in double, in a host-device inline function (C++17), so that GPU code shares the formula. Sums run over
// tokens in order; a token's gradient depends on that token only. Nothing here allocates.
#pragma once

#include <cmath>
#include <cstdint>

#include "engine/host_device.h"

namespace toolgrad {

struct ValueLossOptions {
  float clip = 0;  // c > 0: how far from the old value a token still counts as moved; 0 = no clipping
  float coef = 1;  // of the value loss in the total loss
};

/// Token-aligned inputs [T].
struct ValueLossBatch {
  int64_t T = 0;
  const float* value = nullptr;      // under the weights being trained
  const float* old_value = nullptr;  // at the start of the rollout batch; may be null without clipping
  const float* returns = nullptr;
  const float* weight = nullptr;  // >= 0
};

/// Sums and counts over the tokens with weight > 0; micro-batches are merged with add().
struct ValueLossStats {
  double loss = 0;  // sum weight * term, without coef
  int64_t tokens = 0;
  int64_t clip_count = 0;                         // tokens whose clipped square is the larger one: no gradient
  double value_sum = 0;                           // plain sum
  double return_sum = 0, return_squares = 0;      // plain sums of R and R^2
  double residual_sum = 0, residual_squares = 0;  // of R - v: explained variance = 1 - Var(R - v) / Var(R)

  void add(const ValueLossStats& other);
};

/// Computes the loss of one batch; `d_value` [T] gets coef * d loss / d value, overwritten. Errors: ERR_LOSS_OPTION
/// (impossible option), ERR_LOSS_INPUT (an array the options need is missing, a negative weight), ERR_NOT_FINITE (an
/// input or a gradient is NaN or infinite; names the token and the quantity).
ValueLossStats value_loss(const ValueLossOptions& options, const ValueLossBatch& batch, float* d_value);

// ---- scalar formula, shared with other devices ----

struct ValueTerm {
  double loss, d_value;
  bool clipped;
};

/// 0.5 * max of the plain and the clipped square. Where the clipped one is larger the value is outside its interval, so
/// no gradient flows; at a tie the plain gradient flows.
TOOLGRAD_HOST_DEVICE ValueTerm value_term(double value, double old_value, double target, double clip) {
  const double error = value - target;
  ValueTerm term{0.5 * error * error, error, false};
  if (clip > 0) {
    const double low = old_value - clip, high = old_value + clip;
    const double held = value < low ? low : value > high ? high : value;
    const double held_loss = 0.5 * (held - target) * (held - target);
    if (held_loss > term.loss) term = {held_loss, 0, true};
  }
  return term;
}

}  // namespace toolgrad
