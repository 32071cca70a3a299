// The transformer: token ids in, residual stream after the last layer out, and the way back to every parameter's
// gradient.
//
// One forward pass serves sampling, scoring and training: the same ops in the same order on the same weights, keys and
// values always read from KV pages, so a token's result has the same bits in all three. They differ only in where
// activations lie: inference reuses one layer's arrays, training keeps per layer what backward cannot cheaply recompute
// (norms and SwiGLU outputs are recomputed). Arrays come from an Arena that the caller plans; nothing is allocated
// here. What training keeps is a choice (Recompute) that changes memory and time, never a bit.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/arena.h"
#include "engine/model_shape.h"
#include "engine/ops.h"
#include "engine/parameters.h"
#include "engine/rope_table.h"

namespace toolgrad {

class LoraAdapter;

/// T new tokens of S sequences: ids, their positions, and the pages that hold their sequences. Callers make one of host
/// arrays; the passes take its copy in the memory of the ops (StagedBatch).
struct TokenBatch {
  const int32_t* ids = nullptr;        // [T]
  const int32_t* positions = nullptr;  // [T]
  SequenceMap map{};                   // map.T = T
};

/// A batch where the ops can read it: arrays of an Arena, filled by one upload.
class StagedBatch {
 public:
  void plan(Arena& arena, const TokenBatch& host);
  /// The same batch with pointers into the arena.
  TokenBatch upload(Memory& memory, const TokenBatch& host) const;

 private:
  int32_t* arrays_ = nullptr;
};

/// Whole packed sequences with pages of their own, numbered from 0: what scoring and training run on.
class WholeSequences {
 public:
  /// `seq_starts` [S + 1] must be ascending from 0. Borrows `ids`.
  WholeSequences(const int32_t* ids, const int32_t* seq_starts, int64_t S);
  const TokenBatch& batch() const { return batch_; }
  int64_t pages() const { return static_cast<int64_t>(page_table_.size()); }
  int64_t longest() const { return longest_; }

 private:
  std::vector<int32_t> positions_, q_start_, kv_len_, page_start_, page_table_;
  TokenBatch batch_;
  int64_t longest_ = 0;
};

/// Elements of one page of one layer: keys and values have this many each.
inline int64_t page_elements(const ModelShape& s) {
  return s.kv_width() * kKvPageSize;
}

/// What a training pass computes again on its way back instead of keeping it for every layer. The same ops run on the same
/// inputs, so losses and gradients have the same bits at every level.
enum class Recompute {
  kNone,
  kSelective,  // gate and up, from x_mid
  kFull,       // whole layers, from x_in
};

/// One layer's activations; in inference all layers share them and x_in = x_mid. In training they share what is
/// recomputed.
struct LayerActivations {
  float *x_in, *x_mid;     // [T, C] residual stream before attention and before the MLP
  float *q_pre, *k_pre;    // [T, H, D], [T, G, D] before QK-norm; null without it
  float *q_rstd, *k_rstd;  // [T, H], [T, G]
  float* q;                // [T, H, D] after QK-norm and RoPE
  float* attention;        // [T, H, D]
  float* lse;              // [T, H]
  float *gate, *up;        // [T, F]
  KvPages pages;
};

struct Activations {
  const LoraAdapter* adapter = nullptr;  // forward and backward run with it; null: the base model
  DType product_dtype = DType::kF32;     // of what only products read: Ops::product_dtype(), with an adapter fp32
  bool training = false;                 // planned for a backward pass
  Recompute recompute = Recompute::kNone;
  int64_t own_pages = 0;  // of a layer, in training
  std::vector<LayerActivations> layers;
  float* x = nullptr;  // [T, C] residual stream after the last layer
  // Scratch of one layer.
  ProductRowsOut normed;             // [T, C]
  float *k = nullptr, *v = nullptr;  // [T, G, D]
  ProductRowsOut act;                // [T, F]

  /// Arrays for T tokens whose pages the caller provides (set layers[l].pages before forward).
  void plan_inference(Arena& arena, const ModelShape& s, int64_t T);
  /// The same with `pages` temporary pages that all layers share in turn.
  void plan_scoring(Arena& arena, const ModelShape& s, DType kv_dtype, int64_t T, int64_t pages);
  /// Everything that backward needs and does not recompute (`recompute` is set before); `pages` temporary pages.
  void plan_training(Arena& arena, const ModelShape& s, DType kv_dtype, int64_t T, int64_t pages);

 private:
  ProductRowsOut take_product_rows(Arena& arena, int64_t T, int64_t width) const;
};

/// Scratch of the backward pass.
struct BackwardScratch {
  float* dx = nullptr;                                    // [T, C] gradient of the residual stream
  float *dnormed = nullptr, *rstd = nullptr;              // [T, C], [T]
  float* dact = nullptr;                                  // [T, F]
  float *dattention = nullptr, *dq = nullptr;             // [T, H, D]
  float *dk = nullptr, *dv = nullptr, *dk_pre = nullptr;  // [T, G, D]

  void plan(Arena& arena, const ModelShape& s, int64_t T);
};

class Transformer {
 public:
  Transformer(const ModelShape& shape, Parameters& parameters, Ops& ops, RopeTable& rope)
      : shape_(shape), parameters_(parameters), ops_(ops), rope_(rope) {}

  /// Fills activations.x and, when planned for training, everything that backward needs. Temporary pages are cleared
  /// first (`own_pages`: how many; 0 = the pages belong to a cache and hold earlier tokens).
  /// Error{"ERR_CANCELLED"} between layers when the job was asked to stop.
  void forward(const TokenBatch& batch, Activations& activations, int64_t own_pages) const;

  /// From scratch.dx = d loss / d activations.x to the gradients of what is trainable, base or adapter, which accumulate
  /// in token order. Overwrites gate, up, scratch and what is recomputed. Needs the activations of forward on the same
  /// whole sequences, planned for training.
  void backward(const TokenBatch& batch, Activations& activations, BackwardScratch& scratch) const;

 private:
  void attention_forward(const TokenBatch& batch, const LayerActivations& a, const LayerParameters& p,
                         const Activations& all, int64_t own_pages) const;
  void mlp_forward(int64_t T, const LayerActivations& a, const LayerParameters& p, const Activations& all,
                   float* x_out) const;
  // Its first half: all.act from x_mid, and gate and up if they are to be kept.
  void gated_forward(int64_t T, const LayerActivations& a, const LayerParameters& p, const Activations& all,
                     bool keep) const;
  void attention_backward(const TokenBatch& batch, const LayerActivations& a, const LayerParameters& p,
                          const Activations& all, BackwardScratch& scratch) const;
  void mlp_backward(int64_t T, const LayerActivations& a, const LayerParameters& p, const Activations& all,
                    BackwardScratch& scratch) const;
  void linear(const LoraAdapter* adapter, ProductRows x, int weight, int bias, const float* residual, float* y,
              int64_t T) const;
  void linear_backward(const LoraAdapter* adapter, ProductRows x, const float* dy, int weight, int bias, float* dx,
                       bool accumulate, int64_t T) const;
  void norm(const float* x, int weight, ProductRowsOut y, float* rstd, int64_t rows, int64_t width) const;
  float attention_scale() const;

  const ModelShape& shape_;
  Parameters& parameters_;
  Ops& ops_;
  RopeTable& rope_;
};

}  // namespace toolgrad
