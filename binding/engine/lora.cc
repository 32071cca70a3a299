// The adapter's places, files and products; see lora.h.
#include "engine/lora.h"

#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "engine/model_weights.h"
#include "engine/philox.h"
#include "engine/safetensors.h"

namespace toolgrad {
namespace {

constexpr uint32_t kLoraStream = 0x6c6f7261;  // tells these draws from all others under the same seed

// "q_proj" of "model.layers.0.self_attn.q_proj.weight"; empty for what lies in no layer.
std::string module_of(const std::string& name) {
  if (name.rfind("model.layers.", 0) != 0) return "";
  const size_t end = name.rfind('.'), begin = name.rfind('.', end - 1) + 1;
  return name.substr(begin, end - begin);
}

bool adapted(const Parameter& p, const LoraOptions& options) {
  return p.matrix && std::count(options.targets.begin(), options.targets.end(), module_of(p.name)) > 0;
}

// PEFT's name of matrix "A" or "B" for a base matrix.
std::string lora_name(const std::string& base_name, const char* which) {
  const std::string module = base_name.substr(0, base_name.rfind('.'));
  return "base_model.model." + module + ".lora_" + which + ".weight";
}

}  // namespace

ParameterLayout lora_layout(const ParameterLayout& base, const LoraOptions& options) {
  if (options.rank < 1 || options.targets.empty() || !std::isfinite(options.scaling))
    throw Error("ERR_LORA", "Expected an adapter of rank 1 or more with target modules and a finite scaling");
  for (const std::string& target : options.targets) {
    const auto is_target = [&](const Parameter& p) { return p.matrix && module_of(p.name) == target; };
    if (std::any_of(base.all().begin(), base.all().end(), is_target)) continue;
    throw Error("ERR_LORA", "Expected the name of a linear layer, such as \"q_proj\" or \"down_proj\", but found \"" +
                                target + "\" among the target modules");
  }
  std::vector<ParameterLayout::Matrix> matrices;
  for (const Parameter& p : base.all()) {
    if (!adapted(p, options)) continue;
    matrices.push_back({lora_name(p.name, "A"), options.rank, p.cols});
    matrices.push_back({lora_name(p.name, "B"), p.rows, options.rank});
  }
  return ParameterLayout(matrices);
}

LoraAdapter::LoraAdapter(Ops& ops, const ParameterLayout& base, const LoraOptions& options, bool trainable)
    : scaling_(static_cast<float>(options.scaling)),
      exact_scaling_(options.scaling),
      parameters_(lora_layout(base, options), DType::kF32, trainable, "adapter weights", ops.memory()) {
  int next = 0;
  for (const Parameter& p : base.all()) {
    pairs_.emplace_back();
    if (!adapted(p, options)) continue;
    pairs_.back() = {next, next + 1};
    next += 2;
  }
  initialise(ops, options.seed);
}

void LoraAdapter::initialise(Ops& ops, uint64_t seed) {
  const std::vector<Parameter>& all = parameters_.layout().all();
  std::vector<float> values;
  for (size_t i = 0; i < all.size(); ++i) {
    values.assign(static_cast<size_t>(all[i].elements()), 0.0f);
    const bool is_a = i % 2 == 0;
    const double bound = 1 / std::sqrt(static_cast<double>(all[i].cols));
    for (size_t n = 0; is_a && n < values.size(); ++n) {
      const Philox4 draw = philox4x32(
          Philox4{{static_cast<uint32_t>(n), static_cast<uint32_t>(n >> 32), static_cast<uint32_t>(i), kLoraStream}},
          static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
      values[n] = static_cast<float>((2 * philox_uniform(draw) - 1) * bound);
    }
    parameters_.set(ops, static_cast<int>(i), values.data());
  }
}

void LoraAdapter::load(Ops& ops, const std::string& path) {
  const std::shared_ptr<ModelWeights> file = ModelWeights::open({path});
  const std::vector<Parameter>& all = parameters_.layout().all();
  std::vector<std::vector<float>> values;
  for (const Parameter& p : all) {
    values.emplace_back(static_cast<size_t>(p.elements()));
    file->read_f32(p.name, p.shape(), values.back().data());
    if (host_all_finite(values.back().data(), values.back().size())) continue;
    throw Error("ERR_NOT_FINITE", path + ": expected finite values in tensor \"" + p.name +
                                      "\" but found NaN or infinity; the adapter has diverged or the file is damaged");
  }
  for (size_t i = 0; i < all.size(); ++i) parameters_.set(ops, static_cast<int>(i), values[i].data());
}

void LoraAdapter::forward(Ops& ops, int weight, const float* x, float* y, int64_t T) const {
  const Pair& pair = pairs_[static_cast<size_t>(weight)];
  if (pair.a < 0) return;
  ops.low_rank_forward({x, parameters_.weight(pair.a), parameters_.weight(pair.b), scaling_, y, T});
}

void LoraAdapter::backward(Ops& ops, int weight, const float* x, const float* dy, float* dx, int64_t T) const {
  const Pair& pair = pairs_[static_cast<size_t>(weight)];
  if (pair.a < 0) return;
  ops.low_rank_backward({x, dy, parameters_.weight(pair.a), parameters_.weight(pair.b), scaling_,
                         parameters_.gradient(pair.a), parameters_.gradient(pair.b), dx, T});
}

void LoraAdapter::add_merged_rows(int weight, int64_t row0, int64_t rows, float* values) const {
  const Pair& pair = pairs_[static_cast<size_t>(weight)];
  if (pair.a < 0) return;
  const Parameter& a = parameters_.layout().all()[static_cast<size_t>(pair.a)];
  const int64_t r = a.rows, K = a.cols;
  std::vector<float> narrow(static_cast<size_t>(r * K)), wide(static_cast<size_t>(rows * r));
  parameters_.read_rows(ParameterArena::kWeight, pair.a, 0, r, narrow.data());
  parameters_.read_rows(ParameterArena::kWeight, pair.b, row0, rows, wide.data());
  std::vector<double> sum(static_cast<size_t>(K));
  for (int64_t n = 0; n < rows; ++n) {
    std::fill(sum.begin(), sum.end(), 0.0);
    for (int64_t j = 0; j < r; ++j) {
      const auto factor = static_cast<double>(wide[static_cast<size_t>(n * r + j)]);
      const float* row = narrow.data() + j * K;
      for (int64_t k = 0; k < K; ++k) sum[static_cast<size_t>(k)] += factor * static_cast<double>(row[k]);
    }
    float* out = values + n * K;
    for (int64_t k = 0; k < K; ++k)
      out[k] = static_cast<float>(static_cast<double>(out[k]) + exact_scaling_ * sum[static_cast<size_t>(k)]);
  }
}

void save_merged_weights(const Parameters& base, const LoraAdapter& adapter, const std::string& path) {
  const std::vector<Parameter>& all = base.layout().all();
  std::vector<TensorToFill> tensors;
  for (const Parameter& p : all) tensors.push_back({p.name, base.dtype(), p.shape()});
  std::vector<float> values;
  write_safetensors(path, tensors, {}, [&](size_t index, int64_t row0, int64_t rows, void* out) {
    values.resize(static_cast<size_t>(rows * all[index].cols));
    base.read_rows(ParameterArena::kWeight, static_cast<int>(index), row0, rows, values.data());
    adapter.add_merged_rows(static_cast<int>(index), row0, rows, values.data());
    if (base.dtype() == DType::kF32) {
      std::copy(values.begin(), values.end(), static_cast<float*>(out));
      return;
    }
    auto* halves = static_cast<uint16_t*>(out);
    for (size_t i = 0; i < values.size(); ++i) halves[i] = f32_to_bf16(values[i]);
  });
}

}  // namespace toolgrad
