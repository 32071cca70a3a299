// One step over cached sequences: append tokens to each, run them through the model, sample where asked.
//
// All rows of a step form one variable-length batch, prefill and decode mixed; it is run in chunks of at most
// kStepTokens tokens, which bounds memory and, kernels being batch-invariant, changes no bit. The head runs on sampled
// rows only. A step that fails leaves the cache as it was.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kv_cache.h"
#include "engine/model.h"

namespace toolgrad {

constexpr int64_t kStepTokens = 512;

struct StepRow {
  int32_t seq = 0;
  std::vector<int32_t> tokens;  // at least one
  bool sample = false;
  float temperature = 1;  // 0 = greedy
  int32_t top_k = 0;
  float top_p = 1, min_p = 0;
  SampleKey key{};  // position is set by step(): the index of the sampled token in its sequence
};

/// One entry per row with `sample`, in row order.
struct StepResult {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  KvPlan plan;
};

/// The appends of the rows: what to pin before step().
std::vector<KvAppend> appends_of(const std::vector<StepRow>& rows);

/// Runs a step whose sequences are pinned; the caller commits result.plan. Errors: those of KvCache::plan,
/// {"ERR_TOO_LONG"} beyond the model's positions, {"ERR_OUT_OF_MEMORY"}, {"ERR_CANCELLED"}; the cache is then as before
/// the step and nothing is pinned.
/// A cache belongs to one choice of adapter: every step on it names the same.
StepResult step(Model& model, KvCache& cache, const std::vector<StepRow>& rows, AdapterUse use = AdapterUse::kOn);

/// Arena bytes of a chunk of T tokens that samples R rows, its page table aside.
int64_t step_bytes(const ModelShape& shape, DType product_rows, int64_t T, int64_t R);

}  // namespace toolgrad
