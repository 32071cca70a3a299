// The value head: V = weight . h + bias on the final norm's output h, in fp32 whatever the model's dtype.
//
// V for token t is read at row t - 1, the row that predicts token t: the state before the token is written. One FMA
// chain over C per row (a linear layer of one output), so a value depends on its own sequence only, as a log-prob does.
// In training the head's rows are those of every token in the policy loss or in the value loss, in token order: the
// final norm runs backward once, over the sum of both gradients. A new head is zero. Its file holds value_head.weight
// [1, C] and value_head.bias [1] beside the model's weights.
#pragma once

#include <string>

#include "engine/loss_head.h"
#include "engine/value_loss.h"

namespace toolgrad {

/// The critic's part of a training pass.
struct ValuePart {
  const float *returns = nullptr, *old_values = nullptr, *weight = nullptr;  // [T]; value_loss.h
  ValueLossOptions options;
  bool detach_trunk = false;  // the gradient stops at the hidden states: only the head learns
  float* values = nullptr;    // [T], out: 0 where weight is 0
  ValueLossStats stats;       // out

  /// Whether any token is in the value loss.
  bool any(int64_t T) const;
  /// Whether the value loss has a gradient by the hidden states.
  bool reaches_trunk() const { return options.coef != 0 && !detach_trunk; }
};

struct ValueArrays {
  HeadArrays rows;                  // x, hidden, rstd; backward also dhidden and dx
  float* value = nullptr;           // [R]
  float* d_value = nullptr;         // [R], backward only
  int32_t* policy_index = nullptr;  // [R], backward only

  void plan(Arena& arena, const ModelShape& s, int64_t R, bool backward);
};

class ValueHead {
 public:
  ValueHead(const ModelShape& shape, Parameters& parameters, Ops& ops, const LossHead& norm)
      : shape_(shape), parameters_(parameters), ops_(ops), norm_(norm) {}

  /// Values of the given tokens into arrays.value, from the residual stream after the last layer.
  void forward(const float* x, const HeadRows& rows, ValueArrays& arrays) const;
  /// After forward: values and loss of `part`, and d_value.
  void loss(const HeadRows& rows, int64_t T, ValueArrays& arrays, ValuePart& part) const;
  /// Gradients of weight and bias, in token order.
  void backward(const HeadRows& rows, ValueArrays& arrays) const;
  /// arrays.rows.dhidden: what the vocabulary's head gave for its rows `policy` [., C], a subset of `rows`, plus the
  /// value's.
  void join_hidden(const HeadRows& rows, const HeadRows& policy, const float* dhidden, ValueArrays& arrays) const;

 private:
  const ModelShape& shape_;
  Parameters& parameters_;
  Ops& ops_;
  const LossHead& norm_;
};

/// Writes the head as fp32 safetensors; the parameters have one.
void save_value_head(const Parameters& parameters, const std::string& path);
/// Reads it; names, shapes and values are checked before anything is changed. The error codes of weight_file.h,
/// ERR_SHAPE_MISMATCH, ERR_NOT_FINITE.
void load_value_head(Ops& ops, Parameters& parameters, const std::string& path);

}  // namespace toolgrad
