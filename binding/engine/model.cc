// The passes of a model; see model.h.
#include "engine/model.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend.h"
#include "engine/error.h"
#include "engine/philox.h"

namespace toolgrad {
namespace {

constexpr int64_t kRowsAtOnce = 1024;         // rows read from a weight file at a time; a multiple of kPanelRows
constexpr uint32_t kInitStream = 0x696e6974;  // tells these draws from those of sampling under the same seed

PackedBatch slice(const PackedBatch& batch, int64_t first, int64_t last, std::vector<int32_t>* starts) {
  const int32_t base = batch.seq_starts[first];
  starts->clear();
  for (int64_t s = first; s <= last; ++s) starts->push_back(batch.seq_starts[s] - base);
  return {batch.tokens + base, starts->data(), starts->back(), last - first};
}

std::string tokens_text(const char* what, int64_t T) {
  return std::string(what) + std::to_string(T) + " tokens";
}

// The missing tensors, all of them, in one sentence.
void check_names(const ModelWeights& weights, const ParameterLayout& layout) {
  std::string missing;
  int count = 0;
  constexpr int kShown = 8;
  int expected = 0;
  for (const Parameter& p : layout.all()) {
    if (p.value_head) continue;
    ++expected;
    if (weights.find(p.name) != nullptr) continue;
    if (++count <= kShown) missing += (count > 1 ? ", " : "") + p.name + " " + shape_text(p.shape());
  }
  if (count == 0) return;
  if (count > kShown) missing += " and " + std::to_string(count - kShown) + " more";
  throw Error("ERR_TENSOR_NOT_FOUND", weights.files()[0]->path() + ": expected " + std::to_string(expected) +
                                          " tensors by the config but " + std::to_string(count) +
                                          " are missing: " + missing);
}

// NaN and infinity are refused at the door: a softmax over the vocabulary would hide them.
void check_finite(const Parameter& p, const std::vector<float>& values) {
  if (host_all_finite(values.data(), values.size())) return;
  throw Error("ERR_NOT_FINITE", "Expected finite values for parameter " + p.name + " but found NaN or infinity");
}

// A language model has one shape with another when every number of it and every parameter is the same. The value head is
// no part of it.
void check_same_model(const Model& to, const Model& from) {
  const auto refuse = [](const char* code, const std::string& expected, const std::string& found) {
    throw Error(code, "copyWeights: expected " + expected + " but the model to copy from has " + found);
  };
  if (to.options().dtype != from.options().dtype)
    refuse("ERR_DTYPE", std::string(dtype_name(to.options().dtype)) + " weights", dtype_name(from.options().dtype));
  ModelShape ours = to.shape(), theirs = from.shape();
  if (ours.value_head && !theirs.value_head) refuse("ERR_MODEL_SHAPE", "a value head", "none");
  ours.value_head = theirs.value_head = false;
  if (ours == theirs) return;
  const auto described = [](const Parameter& p) { return p.name + " " + shape_text(p.shape()); };
  const std::vector<Parameter>&a = to.parameters().layout().all(), &b = from.parameters().layout().all();
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (described(a[i]) != described(b[i])) refuse("ERR_MODEL_SHAPE", described(a[i]), described(b[i]));
  }
  refuse("ERR_MODEL_SHAPE", "a model of one shape with this one",
         "other layers, heads, RoPE, norm or longest length with the same first parameters");
}

std::unique_ptr<Ops> make_ops(const ModelShape& shape, const ModelOptions& options, ThreadPool& pool) {
  if (options.cuda < 0 && options.cublaslt.products != CublasLtProducts::kNone)
    throw Error("ERR_NO_CUBLASLT", "Expected a GPU for cublasLt but the model lies on the CPU");
  if (options.cuda < 0) return make_cpu_ops(options.isa, pool);
  if (options.dtype != DType::kBF16)
    throw Error("ERR_DTYPE",
                std::string("Expected bfloat16 weights on a GPU, whose tensor cores read nothing wider, but "
                            "found ") +
                    dtype_name(options.dtype) + ": open the model with dtype bfloat16, or on the CPU");
  if (shape.D % 8 != 0 || shape.D > 128)
    throw Error("ERR_MODEL_SHAPE", "Expected a head size on a GPU that is a multiple of 8 up to 128 but found " +
                                       std::to_string(shape.D) + ": open the model on the CPU");
  return make_cuda_ops(options.cuda, options.cublaslt);
}

}  // namespace

Model::Model(const ModelShape& shape, const ModelOptions& options)
    : shape_(shape),
      options_(options),
      pool_(options.threads),
      ops_(make_ops(shape, options, pool_)),
      parameters_(shape, options.dtype, options.trainable && options.lora.rank == 0, ops_->memory()),
      rope_(shape, ops_->memory()),
      transformer_(shape_, parameters_, *ops_, rope_),
      head_(shape_, parameters_, *ops_),
      value_head_(shape_, parameters_, *ops_, head_) {
  if (options.lora.rank > 0 && shape.value_head)
    throw Error(
        "ERR_LORA",
        "Expected a value head or an adapter but both were asked for: the head would sit on weights that do not "
        "train; give the critic a model of its own");
  if (options.lora.rank > 0)
    adapter_ = std::make_unique<LoraAdapter>(*ops_, parameters_.layout(), options.lora, options.trainable);
}

void Model::require_trainable(const char* operation) const {
  if (options_.trainable) return;
  throw Error("ERR_NOT_TRAINABLE", std::string(operation) +
                                       ": expected a model loaded with trainable: true but this one has no gradients, "
                                       "masters or moments");
}

void Model::require_value_head(const char* operation) const {
  if (shape_.value_head) return;
  throw Error("ERR_NO_VALUE_HEAD",
              std::string(operation) + ": expected a model opened with valueHead: true but this one has no value head");
}

int64_t Model::bytes() const {
  if (!ops_->memory()->on_host()) return 0;
  const auto held = [](const Parameters& p) {
    const ParameterBytes bytes = p.layout().bytes(p.dtype(), p.trainable());
    return bytes.weights + bytes.masters + bytes.moments + bytes.gradients;
  };
  const int64_t adapter = adapter_ ? held(adapter_->parameters()) : 0;
  return held(parameters_) + adapter + reference_bytes_.load() + arena_bytes_.load();
}

const LoraAdapter* Model::adapter(AdapterUse use) const {
  if (use == AdapterUse::kOn) return adapter_.get();
  if (use == AdapterUse::kReference && !reference_)
    throw Error("ERR_NO_ADAPTER",
                "Expected a reference adapter but none was loaded; load one, or turn the adapter off");
  return use == AdapterUse::kReference ? reference_.get() : nullptr;
}

Activations Model::activations_of(AdapterUse use) const {
  Activations activations;
  activations.adapter = adapter(use);
  // An adapter's own products read fp32.
  activations.product_dtype = activations.adapter == nullptr ? ops_->product_dtype(parameters_.dtype()) : DType::kF32;
  return activations;
}

void Model::load_adapter(const std::string& path, AdapterUse which) {
  if (!adapter_)
    throw Error("ERR_NO_ADAPTER", "Expected a model opened with an adapter but this one has only its own weights");
  if (which == AdapterUse::kReference) {
    auto reference = std::make_unique<LoraAdapter>(*ops_, parameters_.layout(), options_.lora, false);
    reference->load(*ops_, path);
    reference_ = std::move(reference);
    const ParameterLayout& layout = reference_->parameters().layout();
    reference_bytes_ = layout.bytes(DType::kF32, false).weights;
  } else {
    adapter_->load(*ops_, path);
  }
  ++epoch_;
}

void Model::load(const ModelWeights& weights) {
  const std::vector<Parameter>& all = parameters_.layout().all();
  check_names(weights, parameters_.layout());
  const auto in_file = [](const Parameter& p) { return !p.value_head; };
  for (const Parameter& p : all) {  // shapes, before any work
    if (in_file(p)) weights.read_f32_rows(p.name, p.shape(), 0, 0, nullptr);
  }
  std::vector<float> values;
  for (size_t i = 0; i < all.size(); ++i) {
    const Parameter& p = all[i];
    if (!in_file(p)) continue;
    for (int64_t row = 0; row < p.rows; row += kRowsAtOnce) {
      const int64_t rows = std::min(kRowsAtOnce, p.rows - row);
      values.resize(static_cast<size_t>(rows * p.cols));
      weights.read_f32_rows(p.name, p.shape(), row, rows, values.data());
      check_finite(p, values);
      parameters_.set_rows(*ops_, static_cast<int>(i), row, rows, values.data());
    }
  }
  ++epoch_;
}

void Model::initialise(uint64_t seed, double std) {
  const ParameterLayout& layout = parameters_.layout();
  const double residual_std = std / std::sqrt(2.0 * static_cast<double>(shape_.L));
  std::vector<bool> residual(layout.all().size());
  for (int64_t l = 0; l < shape_.L; ++l) {
    residual[static_cast<size_t>(layout.layer(l).o)] = true;
    residual[static_cast<size_t>(layout.layer(l).down)] = true;
  }
  std::vector<float> values;
  for (size_t i = 0; i < layout.all().size(); ++i) {
    const Parameter& p = layout.all()[i];
    if (p.value_head) continue;  // stays zero
    values.resize(static_cast<size_t>(p.elements()));
    if (p.matrix) {
      const double scale = residual[i] ? residual_std : std;
      for (size_t n = 0; n < values.size(); ++n) {
        const Philox4 words = philox4x32(
            Philox4{{static_cast<uint32_t>(n), static_cast<uint32_t>(n >> 32), static_cast<uint32_t>(i), kInitStream}},
            static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
        // Box-Muller; the first uniform is in (0, 1].
        const double radius = std::sqrt(-2 * std::log((static_cast<double>(words.v[0]) + 1) * 0x1p-32));
        const double angle = 6.283185307179586 * static_cast<double>(words.v[1]) * 0x1p-32;
        values[n] = static_cast<float>(scale * radius * std::cos(angle));
      }
    } else {
      const bool bias = p.name.size() > 5 && p.name.compare(p.name.size() - 5, 5, ".bias") == 0;
      std::fill(values.begin(), values.end(), bias ? 0.0f : 1.0f);
    }
    parameters_.set(*ops_, static_cast<int>(i), values.data());
  }
  ++epoch_;
}

void Model::copy_weights(const Model& from) {
  if (options_.trainable)
    throw Error(
        "ERR_TRAINABLE",
        "copyWeights: expected a model loaded with trainable: false but this one trains, and its masters would no "
        "longer be those of its weights");
  if (options_.lora.rank > 0 || from.options_.lora.rank > 0)
    throw Error("ERR_LORA", std::string("copyWeights: expected models without adapters but the one to copy ") +
                                (from.options_.lora.rank > 0 ? "from" : "to") + " has one");
  if (&from == this) return;
  check_same_model(*this, from);
  parameters_.copy_weights(from.parameters_);
  version_ = from.version();
  ++epoch_;
}

void Model::score(const PackedBatch& batch, float temperature, const uint8_t* wanted, float* logprobs, float* entropies,
                  AdapterUse use) {
  std::memset(logprobs, 0, static_cast<size_t>(batch.T) * sizeof(float));
  std::memset(entropies, 0, static_cast<size_t>(batch.T) * sizeof(float));
  std::vector<int32_t> starts;
  for (int64_t first = 0, last; first < batch.S; first = last) {
    const int32_t base = batch.seq_starts[first];
    last = first + 1;
    while (last < batch.S && batch.seq_starts[last + 1] - base <= kScoreTokens) ++last;
    const PackedBatch part = slice(batch, first, last, &starts);
    const HeadRows rows = HeadRows::of(part.tokens, part.seq_starts, part.S,
                                       [&](int32_t t) { return wanted == nullptr || wanted[base + t] != 0; });
    if (rows.R() == 0) continue;
    const WholeSequences sequences(part.tokens, part.seq_starts, part.S);
    rope_.grow(sequences.longest());
    Activations activations = activations_of(use);
    StagedBatch staged;
    HeadArrays arrays;
    plan_arena(tokens_text("scoring ", part.T), [&](Arena& arena) {
      staged.plan(arena, sequences.batch());
      activations.plan_scoring(arena, shape_, options_.dtype, part.T, sequences.pages());
      arrays.plan(arena, shape_, rows.R(), false);
    });
    transformer_.forward(staged.upload(*ops_->memory(), sequences.batch()), activations, sequences.pages());
    head_.forward(activations.x, rows, temperature, arrays);
    const OnHost<float> logprob(*ops_->memory(), arrays.logprob, rows.R());
    const OnHost<float> entropy(*ops_->memory(), arrays.entropy, rows.R());
    for (int64_t r = 0; r < rows.R(); ++r) {
      const int64_t t = base + rows.tokens[static_cast<size_t>(r)];
      logprobs[t] = logprob[r];
      entropies[t] = entropy[r];
    }
  }
}

void Model::values(const PackedBatch& batch, const uint8_t* wanted, float* values) {
  require_value_head("values");
  std::memset(values, 0, static_cast<size_t>(batch.T) * sizeof(float));
  std::vector<int32_t> starts;
  for (int64_t first = 0, last; first < batch.S; first = last) {
    const int32_t base = batch.seq_starts[first];
    last = first + 1;
    while (last < batch.S && batch.seq_starts[last + 1] - base <= kScoreTokens) ++last;
    const PackedBatch part = slice(batch, first, last, &starts);
    const HeadRows rows = HeadRows::of(part.tokens, part.seq_starts, part.S,
                                       [&](int32_t t) { return wanted == nullptr || wanted[base + t] != 0; });
    if (rows.R() == 0) continue;
    const WholeSequences sequences(part.tokens, part.seq_starts, part.S);
    rope_.grow(sequences.longest());
    Activations activations = activations_of(AdapterUse::kOff);
    StagedBatch staged;
    ValueArrays arrays;
    plan_arena(tokens_text("values of ", part.T), [&](Arena& arena) {
      staged.plan(arena, sequences.batch());
      activations.plan_scoring(arena, shape_, options_.dtype, part.T, sequences.pages());
      arrays.plan(arena, shape_, rows.R(), false);
    });
    transformer_.forward(staged.upload(*ops_->memory(), sequences.batch()), activations, sequences.pages());
    value_head_.forward(activations.x, rows, arrays);
    const OnHost<float> value(*ops_->memory(), arrays.value, rows.R());
    for (int64_t r = 0; r < rows.R(); ++r) values[base + rows.tokens[static_cast<size_t>(r)]] = value[r];
  }
}

void Model::rows_after_forward(const PackedBatch& batch, const int32_t* positions, int64_t n, HeadArrays& arrays,
                               AdapterUse use, float** logits) {
  const WholeSequences sequences(batch.tokens, batch.seq_starts, batch.S);
  rope_.grow(sequences.longest());
  Activations activations = activations_of(use);
  StagedBatch staged;
  plan_arena(tokens_text("a forward pass over ", batch.T), [&](Arena& arena) {
    staged.plan(arena, sequences.batch());
    activations.plan_scoring(arena, shape_, options_.dtype, batch.T, sequences.pages());
    arrays.plan(arena, shape_, n, false);
    if (logits != nullptr) *logits = arena.take<float>(n * shape_.V);
  });
  transformer_.forward(staged.upload(*ops_->memory(), sequences.batch()), activations, sequences.pages());
  head_.gather(activations.x, std::vector<int32_t>(positions, positions + n), arrays);
}

void Model::logits(const PackedBatch& batch, const int32_t* positions, int64_t n, float* out, AdapterUse use) {
  HeadArrays arrays;
  float* logits = nullptr;
  rows_after_forward(batch, positions, n, arrays, use, &logits);
  ops_->linear_forward({arrays.hidden, parameters_.weight(parameters_.layout().head()), nullptr, nullptr, logits, n});
  ops_->memory()->download(static_cast<void*>(out), logits, static_cast<size_t>(n * shape_.V) * sizeof(float));
}

void Model::hidden(const PackedBatch& batch, const int32_t* positions, int64_t n, float* out, AdapterUse use) {
  HeadArrays arrays;
  rows_after_forward(batch, positions, n, arrays, use, nullptr);
  ops_->memory()->download(static_cast<void*>(out), arrays.hidden, static_cast<size_t>(n * shape_.C) * sizeof(float));
}

PolicyLossStats Model::accumulate(const PackedBatch& batch, const LossInputs& inputs, const PolicyLossOptions& options,
                                  float* logprobs, ValuePart* value, Recompute recompute) {
  require_trainable("accumulate");
  if (value != nullptr) require_value_head("accumulate");
  const WholeSequences sequences(batch.tokens, batch.seq_starts, batch.S);
  const HeadRows rows =
      HeadRows::of(batch.tokens, batch.seq_starts, batch.S, [&](int32_t t) { return inputs.weight[t] != 0; });
  const bool critic = value != nullptr && value->any(batch.T), critic_moves_trunk = critic && value->reaches_trunk();
  const HeadRows value_rows = HeadRows::of(batch.tokens, batch.seq_starts, batch.S, [&](int32_t t) {
    return critic && (inputs.weight[t] != 0 || value->weight[t] != 0);
  });
  rope_.grow(sequences.longest());
  Activations activations = activations_of(AdapterUse::kOn);
  activations.recompute = recompute;
  BackwardScratch scratch;
  StagedBatch staged;
  HeadArrays arrays;
  LossRows loss_rows;
  ValueArrays value_arrays;
  plan_arena(tokens_text("a training pass over ", batch.T), [&](Arena& arena) {
    staged.plan(arena, sequences.batch());
    activations.plan_training(arena, shape_, options_.dtype, batch.T, sequences.pages());
    scratch.plan(arena, shape_, batch.T);
    arrays.plan(arena, shape_, rows.R(), true);
    loss_rows.plan(arena, inputs, batch.S, rows.R());
    if (value != nullptr) value_arrays.plan(arena, shape_, value_rows.R(), true);
  });
  Memory& memory = *ops_->memory();
  std::memset(logprobs, 0, static_cast<size_t>(batch.T) * sizeof(float));
  const TokenBatch tokens = staged.upload(memory, sequences.batch());
  if (rows.R() > 0 || critic) transformer_.forward(tokens, activations, sequences.pages());
  if (rows.R() > 0) head_.forward(activations.x, rows, inputs.temperature, arrays);
  if (critic) value_head_.forward(activations.x, value_rows, value_arrays);
  PolicyLossStats result = loss_rows.run(*ops_, inputs, options, batch.seq_starts, batch.S, rows, arrays);
  const OnHost<float> logprob(memory, arrays.logprob, rows.R());
  for (int64_t r = 0; r < rows.R(); ++r) logprobs[rows.tokens[static_cast<size_t>(r)]] = logprob[r];
  if (value != nullptr) {
    value_head_.loss(value_rows, batch.T, value_arrays, *value);
    result.loss += static_cast<double>(value->options.coef) * value->stats.loss;
  }
  if (critic && value->options.coef != 0) value_head_.backward(value_rows, value_arrays);
  if (rows.R() == 0 && !critic_moves_trunk) return result;
  if (critic_moves_trunk) {
    if (rows.R() > 0) head_.backward_vocabulary(rows, inputs.temperature, arrays);
    value_head_.join_hidden(value_rows, rows, arrays.dhidden, value_arrays);
    head_.backward_norm(value_rows, value_arrays.rows, scratch.dx, batch.T);
  } else {
    head_.backward(rows, inputs.temperature, arrays, scratch.dx, batch.T);
  }
  transformer_.backward(tokens, activations, scratch);
  return result;
}

UpdateResult Model::update(const AdamWOptions& options) {
  require_trainable("update");
  if (options.value_head_only || options.value_lr >= 0) require_value_head("update");
  const UpdateResult result = optimizer_.update(*ops_, trained(), options);
  if (!options.value_head_only) ++epoch_;  // cached keys and values do not see the head
  version_ = optimizer_.updates();
  return result;
}

void Model::zero_gradients() {
  require_trainable("zeroGradients");
  trained().clear_gradients();
}

void Model::set_parameter(Parameters& of, int index, const std::vector<float>& values) {
  check_finite(of.layout().all()[static_cast<size_t>(index)], values);
  of.set(*ops_, index, values.data());
  ++epoch_;
}

void Model::load_optimizer(const std::string& path) {
  require_trainable("loadOptimizer");
  ++epoch_;
  optimizer_.load(*ops_, trained(), path);
  version_ = optimizer_.updates();
}

void Model::load_value_head(const std::string& path) {
  require_value_head("loadValueHead");
  toolgrad::load_value_head(*ops_, parameters_, path);
}

void Model::save_value_head(const std::string& path) const {
  require_value_head("saveValueHead");
  toolgrad::save_value_head(parameters_, path);
}

void Model::reset_optimizer() {
  require_trainable("resetOptimizer");
  optimizer_.reset(trained());
}

}  // namespace toolgrad
