// A model: parameters, the passes over them, and the optimizer. One engine thread calls everything but the constant
// accessors and version().
//
// Batches are packed and token-aligned (lib/model/engine.ts); callers have checked them (ascending starts, ids below V,
// no empty sequence). Activations live in one arena that grows to the largest batch seen and is reused.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cpu/cpu.h"
#include "engine/arena.h"
#include "engine/cublaslt_use.h"
#include "engine/lora.h"
#include "engine/loss_head.h"
#include "engine/loss_rows.h"
#include "engine/memory_plan.h"
#include "engine/model_shape.h"
#include "engine/model_weights.h"
#include "engine/optimizer.h"
#include "engine/parameters.h"
#include "engine/rope_table.h"
#include "engine/thread_pool.h"
#include "engine/transformer.h"
#include "engine/value_head.h"

namespace toolgrad {

/// Whole sequences are scored together up to this many tokens: enough to fill the kernels, little memory.
constexpr int64_t kScoreTokens = 1024;

struct ModelOptions {
  DType dtype = DType::kBF16;  // of the weights and of the KV cache; kBF16 or kF32
  bool trainable = false;
  int threads = 1;
  Isa isa = Isa::kPortable;
  LoraOptions lora{};      // rank > 0: the base is frozen, and what is trained is an adapter
  int cuda = -1;           // ordinal of the GPU that holds the model; -1: the host
  CublasLtUse cublaslt{};  // of a model on a GPU
};

/// S packed sequences of T tokens in all.
struct PackedBatch {
  const int32_t* tokens = nullptr;      // [T]
  const int32_t* seq_starts = nullptr;  // [S + 1]
  int64_t T = 0, S = 0;
};

class Model {
 public:
  /// Zero weights; fill them with load() or initialise().
  Model(const ModelShape& shape, const ModelOptions& options);

  /// Reads every parameter; all names and shapes are checked first, and every missing tensor is named. Error codes of
  /// model_weights.h.
  void load(const ModelWeights& weights);
  /// Random weights: normal(0, std), std / sqrt(2 L) for the projections into the residual stream (GPT-2), norms 1,
  /// biases 0. A value depends on the seed and its place only.
  void initialise(uint64_t seed, double std);
  /// Takes the weights that `from` computes with, and its version; keys cached before are stale then. Both have one shape
  /// and dtype, a value head aside, which this model may lack; from itself it takes nothing. Error{"ERR_TRAINABLE"} when this model trains,
  /// {"ERR_MODEL_SHAPE"}, {"ERR_DTYPE"}, {"ERR_LORA"}: nothing is changed then.
  void copy_weights(const Model& from);
  /// Reads the adapter's weights from a PEFT file. kReference makes a second, frozen adapter.
  void load_adapter(const std::string& path, AdapterUse which);

  /// Log-probs and entropies of the tokens t with wanted[t] != 0 (null: all that have a predecessor), 0 elsewhere.
  void score(const PackedBatch& batch, float temperature, const uint8_t* wanted, float* logprobs, float* entropies,
             AdapterUse use = AdapterUse::kOn);
  /// Values of the tokens t with wanted[t] != 0 (null: all that have a predecessor), 0 elsewhere.
  void values(const PackedBatch& batch, const uint8_t* wanted, float* values);
  /// Logits [n, V] of the rows at packed positions positions[0 .. n - 1].
  void logits(const PackedBatch& batch, const int32_t* positions, int64_t n, float* out,
              AdapterUse use = AdapterUse::kOn);
  /// The final norm's output [n, C] of the same rows.
  void hidden(const PackedBatch& batch, const int32_t* positions, int64_t n, float* out,
              AdapterUse use = AdapterUse::kOn);
  /// Forward, loss, backward; gradients accumulate. `logprobs` [T] gets the recomputed log-probs, 0 where weight is 0.
  /// A failure leaves the gradients as they were, unless the engine thread was asked to stop.
  /// `value` (needs a value head) adds the critic's loss to the total, from the same pass; without tokens in the policy
  /// loss nothing touches the vocabulary. The gradient of the vocabulary's head has the same bits with and without it.
  /// `recompute` changes no bit of anything.
  PolicyLossStats accumulate(const PackedBatch& batch, const LossInputs& inputs, const PolicyLossOptions& options,
                             float* logprobs, ValuePart* value = nullptr, Recompute recompute = Recompute::kNone);
  UpdateResult update(const AdamWOptions& options);
  void zero_gradients();
  /// Error{"ERR_NOT_FINITE"}, changing nothing, when a value is NaN or infinite.
  void set_parameter(Parameters& of, int index, const std::vector<float>& values);
  void load_optimizer(const std::string& path);
  void reset_optimizer();
  /// The value head from its file, and into one.
  void load_value_head(const std::string& path);
  void save_value_head(const std::string& path) const;
  void save_optimizer(const std::string& path) const { optimizer_.save(trained(), path); }

  /// Error{"ERR_NO_VALUE_HEAD"} without one.
  void require_value_head(const char* operation) const;
  const ModelShape& shape() const { return shape_; }
  const Parameters& parameters() const { return parameters_; }
  Parameters& parameters() { return parameters_; }
  /// What update() changes: the adapter's parameters, or all.
  const Parameters& trained() const { return adapter_ ? adapter_->parameters() : parameters_; }
  Parameters& trained() { return adapter_ ? adapter_->parameters() : parameters_; }
  /// The adapter of a pass; null for the base model. Error{"ERR_NO_ADAPTER"} when none was loaded as the reference.
  const LoraAdapter* adapter(AdapterUse use) const;
  /// Activations of a pass, to be planned.
  Activations activations_of(AdapterUse use) const;
  Ops& ops() { return *ops_; }
  RopeTable& rope() { return rope_; }
  /// Plans the activations of a pass; the arrays stay valid until the next pass.
  template <class Plan>
  void plan_arena(const std::string& what, Plan&& run) {
    arena_.plan(what, run);
    arena_bytes_ = static_cast<int64_t>(arena_.capacity());
  }
  const Transformer& transformer() const { return transformer_; }
  const LossHead& loss_head() const { return head_; }
  /// What computes: the name of the CPU's instruction set, or "cuda".
  std::string kernels() const { return options_.cuda < 0 ? isa_name(options_.isa) : ops_->name(); }
  const ModelOptions& options() const { return options_; }
  /// Updates so far; any thread may ask.
  int64_t version() const { return version_.load(); }
  /// Changes whenever a weight may have changed: what cached keys and values are valid for.
  int64_t weights_epoch() const { return epoch_; }
  /// Bytes of the host held outside the JavaScript heap (0 on a GPU); any thread may ask.
  int64_t bytes() const;

 private:
  void require_trainable(const char* operation) const;
  void rows_after_forward(const PackedBatch& batch, const int32_t* positions, int64_t n, HeadArrays& arrays,
                          AdapterUse use, float** logits);

  ModelShape shape_;
  ModelOptions options_;
  ThreadPool pool_;
  std::unique_ptr<Ops> ops_;
  Parameters parameters_;
  std::unique_ptr<LoraAdapter> adapter_, reference_;
  RopeTable rope_;
  Transformer transformer_;
  LossHead head_;
  ValueHead value_head_;
  Optimizer optimizer_;
  Arena arena_{ops_->memory()};
  std::atomic<int64_t> version_{0};
  std::atomic<int64_t> arena_bytes_{0};
  std::atomic<int64_t> reference_bytes_{0};
  int64_t epoch_ = 0;
};

}  // namespace toolgrad
