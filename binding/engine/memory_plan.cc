// Measured plans; see memory_plan.h.
#include "engine/memory_plan.h"

#include <algorithm>

#include "engine/generate.h"
#include "engine/loss_head.h"
#include "engine/model.h"
#include "engine/parameters.h"
#include "engine/value_head.h"

namespace toolgrad {
namespace {

// The staged batch: ids and positions, and per sequence three numbers and its pages; a sequence has one page at least.
void plan_batch(Arena& arena, int64_t T, int64_t pages) {
  arena.take<int32_t>(2 * T + 4 * pages + 1);
}

// Arena bytes of one training pass over T tokens in `pages` pages, R of them in the policy loss; with a value head all of
// them in the value loss.
int64_t training_bytes(const ModelShape& shape, DType dtype, DType product_rows, Recompute recompute, int64_t T,
                       int64_t R, int64_t pages) {
  return static_cast<int64_t>(Arena::measure([&](Arena& arena) {
    Activations activations;
    activations.product_dtype = product_rows;
    activations.recompute = recompute;
    BackwardScratch scratch;
    HeadArrays head;
    plan_batch(arena, T, pages);
    activations.plan_training(arena, shape, dtype, T, pages);
    scratch.plan(arena, shape, T);
    head.plan(arena, shape, R, true);
    arena.take<float>(pages + 1 + 5 * R);  // LossRows: the cuts into sequences, five columns at most
    if (shape.value_head) ValueArrays().plan(arena, shape, T, true);
  }));
}

// The same of one scoring pass that wants every token.
int64_t scoring_bytes(const ModelShape& shape, DType dtype, DType product_rows, int64_t T, int64_t pages) {
  return static_cast<int64_t>(Arena::measure([&](Arena& arena) {
    Activations activations;
    activations.product_dtype = product_rows;
    HeadArrays head;
    plan_batch(arena, T, pages);
    activations.plan_scoring(arena, shape, dtype, T, pages);
    head.plan(arena, shape, T, false);
    if (shape.value_head) arena.take<float>(T);  // values() needs one number a row more than score()
  }));
}

// Pages of T tokens in sequences of `longest`, the last one shorter.
int64_t pages_of(int64_t T, int64_t longest) {
  const auto pages = [](int64_t tokens) { return (tokens + kKvPageSize - 1) / kKvPageSize; };
  return T / longest * pages(longest) + pages(T % longest);
}

}  // namespace

int64_t tokens_at_once(const Pass& pass) {
  return pass.scores() ? std::min(pass.T, std::max(pass.longest, kScoreTokens)) : pass.T;
}

int64_t arena_bytes(const ModelShape& shape, DType dtype, const Pass& pass) {
  const int64_t T = tokens_at_once(pass), pages = pages_of(T, std::min(pass.longest, T));
  if (pass.trains())
    return training_bytes(shape, dtype, pass.product_rows, pass.recompute, T, pass.kind == Pass::Kind::kCritic ? 0 : T,
                          pages);
  if (pass.scores()) return scoring_bytes(shape, dtype, pass.product_rows, T, pages);
  const int64_t rows = std::min(T, kStepTokens);
  return std::max(step_bytes(shape, pass.product_rows, kStepTokens, 0),
                  step_bytes(shape, pass.product_rows, rows, rows));
}

MemoryPlan plan_memory(const ModelShape& shape, DType dtype, bool trainable, const LoraOptions& lora,
                       Recompute recompute) {
  const ParameterLayout layout(shape);
  ParameterBytes bytes = layout.bytes(dtype, trainable && lora.rank == 0);
  MemoryPlan plan;
  plan.weight_bytes = bytes.weights;
  if (lora.rank > 0) {
    bytes = lora_layout(layout, lora).bytes(DType::kF32, trainable);
    plan.adapter_bytes = bytes.weights;
  }
  plan.master_bytes = bytes.masters;
  plan.moment_bytes = bytes.moments;
  plan.gradient_bytes = bytes.gradients;
  const auto measure = [&](int64_t pages) {
    const int64_t T = pages * kKvPageSize;
    return trainable ? training_bytes(shape, dtype, DType::kF32, recompute, T, T, pages)
                     : scoring_bytes(shape, dtype, DType::kF32, T, pages);
  };
  // Arrays are padded to 64 bytes; at multiples of 16 tokens the padding is zero, so two points give the line.
  constexpr int64_t kPages = 8;
  const int64_t at_one = measure(kPages), at_two = measure(2 * kPages);
  plan.activation_bytes_per_token = (at_two - at_one) / (kPages * kKvPageSize);
  plan.activation_bytes_fixed = at_one - plan.activation_bytes_per_token * kPages * kKvPageSize;
  plan.kv_bytes_per_page = shape.L * 2 * page_elements(shape) * static_cast<int64_t>(dtype_size(dtype));
  return plan;
}

}  // namespace toolgrad
