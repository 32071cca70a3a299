// What a model will take, before anything is allocated. Bytes; the plans are those of the passes themselves, measured.
#pragma once

#include <cstdint>

#include "engine/lora.h"
#include "engine/model_shape.h"
#include "engine/ops.h"
#include "engine/transformer.h"

namespace toolgrad {

struct MemoryPlan {
  int64_t weight_bytes = 0, master_bytes = 0, moment_bytes = 0, gradient_bytes = 0;
  /// Weights of one adapter; masters (none: it is fp32), moments and gradients are then the adapter's alone.
  int64_t adapter_bytes = 0;
  /// Of accumulate() at a level of recomputation (trainable), or of score(): fixed + per token * T. Every token in the loss, sequences of whole pages;
  /// a sequence that ends inside a page takes up to one page per layer more.
  int64_t activation_bytes_per_token = 0, activation_bytes_fixed = 0;
  int64_t kv_bytes_per_page = 0;
};

/// Whatever the backend: what only products read counts as fp32.
MemoryPlan plan_memory(const ModelShape& shape, DType dtype, bool trainable, const LoraOptions& lora = {},
                       Recompute recompute = Recompute::kNone);

/// What a pass runs over: T tokens in whole sequences of at most `longest` tokens. kCritic trains and kValues asks a value
/// head alone. A step is of T sequences that each get one token, after prompts were read in chunks.
struct Pass {
  enum class Kind { kTraining, kCritic, kScoring, kValues, kStep };
  Kind kind = Kind::kTraining;
  int64_t T = 1, longest = 1;
  Recompute recompute = Recompute::kNone;
  int64_t lora_rank = 0;
  DType product_rows = DType::kF32;  // of what only products read: Activations::product_dtype

  bool trains() const { return kind == Kind::kTraining || kind == Kind::kCritic; }
  bool scores() const { return kind == Kind::kScoring || kind == Kind::kValues; }
};
/// Tokens that such a pass takes at once: long scores are cut.
int64_t tokens_at_once(const Pass& pass);

/// Bytes that a pass takes in the model's arena, every token in the loss. Of passes that come one after the other the
/// arena holds the largest.
int64_t arena_bytes(const ModelShape& shape, DType dtype, const Pass& pass);

}  // namespace toolgrad
