// LoRA: low-rank additions to the linear layers of a frozen model, y = W x + b + scaling * B (A x), under PEFT's names.
//
// The adapter is never merged while it is used: rollout, scoring and training run the same two products (LowRankForward
// of ops.h) after each adapted layer, so log-probs agree to the bit. A and B are fp32 whatever the base: they are their
// own masters, so nothing is lost between an update, the next forward pass and the file, and they are small. A model
// without an adapter in a pass is the base model to the bit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/ops.h"
#include "engine/parameters.h"

namespace toolgrad {

struct LoraOptions {
  int64_t rank = 0;  // 0: no adapter
  double scaling = 1;
  std::vector<std::string> targets;  // "q_proj", "down_proj", …: in every layer
  uint64_t seed = 0;                 // of the initial weights
};

/// Which adapter a pass runs with.
enum class AdapterUse { kOn, kOff, kReference };

class LoraAdapter {
 public:
  /// A uniform in ±1/sqrt(in) (PEFT: Kaiming-uniform with a = sqrt(5)), B zero: an adapter that adds nothing. A value
  /// depends on the seed and its place only. Error{"ERR_LORA"} when a target is no linear layer of the model.
  LoraAdapter(Ops& ops, const ParameterLayout& base, const LoraOptions& options, bool trainable);

  /// Reads all matrices from a safetensors file. Names, shapes and values are checked before anything is changed;
  /// errors of model_weights.h, Error{"ERR_NOT_FINITE"}.
  void load(Ops& ops, const std::string& path);

  /// Adds to y [T, N] what the adapter of base matrix `weight` makes of x [T, K]; nothing when it has none.
  void forward(Ops& ops, int weight, const float* x, float* y, int64_t T) const;
  /// Adds to the gradients of A and B, and to dx.
  void backward(Ops& ops, int weight, const float* x, const float* dy, float* dx, int64_t T) const;

  const Parameters& parameters() const { return parameters_; }
  Parameters& parameters() { return parameters_; }

  /// Adds rows [row0, row0 + rows) of scaling * B A to `values` [rows, K]; the sum is made in fp64 and rounded once.
  void add_merged_rows(int weight, int64_t row0, int64_t rows, float* values) const;

 private:
  struct Pair {
    int a = -1, b = -1;
  };

  void initialise(Ops& ops, uint64_t seed);

  std::vector<Pair> pairs_;  // by base parameter
  float scaling_;
  double exact_scaling_;
  Parameters parameters_;
};

/// The matrices A and B of every adapted layer, in the order of the base's.
ParameterLayout lora_layout(const ParameterLayout& base, const LoraOptions& options);

/// Writes base + adapter as save_weights() writes a model: W + scaling * B A, rounded once to the base's dtype.
void save_merged_weights(const Parameters& base, const LoraAdapter& adapter, const std::string& path);

}  // namespace toolgrad
