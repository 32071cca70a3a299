// The hyper-parameters of a decoder-only transformer (Llama, Qwen2, Qwen3), independent of any file format.
//
// Dimensions: V vocabulary, C hidden width, L layers, H query heads, G key/value heads, D head size, F feed-forward
// width. A ModelShape is plain data; check_shape() is called once, by the owner of the model, before anything is
// computed from it.
#pragma once

#include <cstdint>

namespace toolgrad {

/// Scaling of the RoPE frequencies. kLlama3: Llama 3.1's smooth interpolation between scaled and plain frequencies.
struct RopeScaling {
  enum class Kind { kNone, kLinear, kLlama3 };
  Kind kind = Kind::kNone;
  double factor = 1, low_freq_factor = 1, high_freq_factor = 4, original_max_positions = 0;
  bool operator==(const RopeScaling&) const = default;
};

struct ModelShape {
  int64_t V = 0, C = 0, L = 0, H = 0, G = 0, D = 0, F = 0;
  int64_t max_positions = 0;  // positions 0 .. max_positions - 1 exist
  double rope_theta = 10000;
  RopeScaling rope;
  float norm_eps = 1e-6f;
  bool tied = false;      // the head is the embedding table
  bool qkv_bias = false;  // Qwen2
  bool o_bias = false;
  bool mlp_bias = false;
  bool qk_norm = false;     // Qwen3: RMSNorm over D on q and k before RoPE
  bool value_head = false;  // a critic's scalar output beside the vocabulary's (value_head.h)

  int64_t q_width() const { return H * D; }
  int64_t kv_width() const { return G * D; }
  bool operator==(const ModelShape&) const = default;
};

/// Error{"ERR_MODEL_SHAPE"} naming the field when a dimension is missing, too large or does not agree with another.
void check_shape(const ModelShape& shape);

}  // namespace toolgrad
