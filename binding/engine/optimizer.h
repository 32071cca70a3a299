// AdamW over the parameter arenas: global norm, clipping, update, and the optimizer file.
//
// The norm runs over the gradient arenas in one fixed order, in double. Weight decay applies to matrices only. When the
// norm is not finite nothing is changed: weights, moments, step and gradients stay as they were. A value head has a
// learning rate and a step count of its own: while a critic warms up, only the head moves.
#pragma once

#include <cstdint>
#include <string>

#include "engine/ops.h"
#include "engine/parameters.h"

namespace toolgrad {

struct AdamWOptions {
  float lr = 0, beta1 = 0.9f, beta2 = 0.999f, eps = 1e-8f, weight_decay = 0;
  float max_grad_norm = 0;  // 0 = no clipping
  float value_lr = -1;      // of the value head; below 0: lr
  // Update the value head alone, by the norm of its own gradient. Everything else stays to the bit, moments, step and
  // count of updates included; its gradients are cleared.
  bool value_head_only = false;
};

struct UpdateResult {
  double grad_norm = 0;  // before clipping
  bool clipped = false;
  int64_t step = 0;  // updates so far, this one included; with value_head_only those of the head
};

class Optimizer {
 public:
  /// Updates since the moments were last zero: what bias correction counts.
  int64_t step() const { return step_; }
  /// Updates ever, resets included, without those of a value head alone: the version of the policy's weights.
  int64_t updates() const { return updates_; }

  /// Clips, updates weights and masters, clears the gradients. Error{"ERR_NOT_FINITE"} when the gradient norm is not
  /// finite.
  UpdateResult update(Ops& ops, Parameters& parameters, const AdamWOptions& options);

  /// Zeroes moments and step, as at the start of a new phase of training; weights, masters and gradients stay.
  void reset(Parameters& parameters);

  /// Masters, moments and the step and update counts as one safetensors file: tensors master.NAME, moment1.NAME, moment2.NAME.
  void save(const Parameters& parameters, const std::string& path) const;
  /// Restores what save() wrote, compute weights included. All names, shapes and the record are checked before anything
  /// is changed; a file of another model is Error{"ERR_OPTIMIZER_FILE"} or the weight file's error.
  void load(Ops& ops, Parameters& parameters, const std::string& path);

 private:
  void update_value_head(Ops& ops, Parameters& parameters, const AdamWOptions& options, float scale);

  int64_t step_ = 0, value_step_ = 0, updates_ = 0;
};

/// Writes the compute weights as an HF safetensors file in the compute dtype; a tied head is not written, nor a value
/// head (value_head.h).
void save_weights(const Parameters& parameters, const std::string& path);

}  // namespace toolgrad
