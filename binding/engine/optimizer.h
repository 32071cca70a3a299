// AdamW over the parameter arenas: global norm, clipping, update, and the optimizer file.
//
// The norm runs over the gradient arenas in one fixed order, in double. Weight decay applies to matrices only. When the
// norm is not finite nothing is changed: weights, moments, step and gradients stay as they were.
#pragma once

#include <cstdint>
#include <string>

#include "engine/ops.h"
#include "engine/parameters.h"

namespace toolgrad {

struct AdamWOptions {
  float lr = 0, beta1 = 0.9f, beta2 = 0.999f, eps = 1e-8f, weight_decay = 0;
  float max_grad_norm = 0;  // 0 = no clipping
};

struct UpdateResult {
  double grad_norm = 0;  // before clipping
  bool clipped = false;
  int64_t step = 0;  // updates so far, this one included
};

class Optimizer {
 public:
  /// Updates since the moments were last zero: what bias correction counts.
  int64_t step() const { return step_; }
  /// Updates ever, resets included: the version of the weights.
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
  int64_t step_ = 0, updates_ = 0;
};

/// Writes the compute weights as an HF safetensors file in the compute dtype; a tied head is not written.
void save_weights(const Parameters& parameters, const std::string& path);

}  // namespace toolgrad
