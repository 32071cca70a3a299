// What a model will take, before anything is allocated. Bytes; the plans are those of the passes themselves, measured.
#pragma once

#include <cstdint>

#include "engine/lora.h"
#include "engine/model_shape.h"
#include "engine/ops.h"

namespace toolgrad {

struct MemoryPlan {
  int64_t weight_bytes = 0, master_bytes = 0, moment_bytes = 0, gradient_bytes = 0;
  /// Weights of one adapter; masters (none: it is fp32), moments and gradients are then the adapter's alone.
  int64_t adapter_bytes = 0;
  /// Of accumulate() (trainable) or score(): fixed + per token * T. Every token in the loss, sequences of whole pages;
  /// a sequence that ends inside a page takes up to one page per layer more.
  int64_t activation_bytes_per_token = 0, activation_bytes_fixed = 0;
  int64_t kv_bytes_per_page = 0;
};

MemoryPlan plan_memory(const ModelShape& shape, DType dtype, bool trainable, const LoraOptions& lora = {});

/// Arena bytes of one training pass over T tokens with R of them in the loss, in `pages` pages.
int64_t training_bytes(const ModelShape& shape, DType dtype, int64_t T, int64_t R, int64_t pages);
/// The same of one scoring pass.
int64_t scoring_bytes(const ModelShape& shape, DType dtype, int64_t T, int64_t R, int64_t pages);

}  // namespace toolgrad
