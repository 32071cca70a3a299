// LoRA end to end without JavaScript, small enough for the sanitizers: sampling, scoring and training agree to the bit,
// the base is never touched, gradients agree with finite differences, files come back, merged weights are the sum.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "check.h"
#include "engine/generate.h"
#include "engine/model.h"
#include "engine/model_weights.h"

namespace toolgrad::test {
namespace {

constexpr AdamWOptions kAdamW{0.01f, 0.9f, 0.95f, 1e-8f, 0, 1};

ModelShape tiny_shape(bool qk_norm, bool tied) {
  ModelShape s;
  s.V = 97;
  s.C = 24;
  s.L = 2;
  s.H = 4;
  s.G = 2;
  s.D = 10;
  s.F = 40;
  s.max_positions = 700;
  s.tied = tied;
  s.qkv_bias = !qk_norm;
  s.qk_norm = qk_norm;
  return s;
}

const std::vector<std::string> kAllLinear = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                             "gate_proj", "up_proj", "down_proj"};

using Floats = std::vector<float>;

bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::string temporary(const char* name) {
  return (std::filesystem::temp_directory_path() / (std::string("toolgrad_lora_test_") + name)).string();
}

/// All values of one arena, parameter by parameter.
Floats arena_of(const Parameters& parameters, ParameterArena arena) {
  const std::vector<Parameter>& all = parameters.layout().all();
  Floats values;
  for (size_t i = 0; i < all.size(); ++i) {
    Floats one(static_cast<size_t>(all[i].elements()));
    parameters.read_rows(arena, static_cast<int>(i), 0, all[i].rows, one.data());
    values.insert(values.end(), one.begin(), one.end());
  }
  return values;
}

/// B away from zero, so that the adapter does something.
void randomise(Model& model, uint64_t seed) {
  Random random(seed);
  Parameters& adapter = model.trained();
  for (size_t i = 1; i < adapter.layout().all().size(); i += 2)
    model.set_parameter(adapter, static_cast<int>(i), random.normals(adapter.layout().all()[i].elements(), 0.2f));
}

struct Batch {
  std::vector<int32_t> tokens, starts{0};
  Floats weight;
  explicit Batch(const std::vector<std::vector<int32_t>>& texts) {
    for (const auto& text : texts) {
      tokens.insert(tokens.end(), text.begin(), text.end());
      starts.push_back(static_cast<int32_t>(tokens.size()));
    }
    weight.assign(tokens.size(), 0.02f);
    for (size_t s = 0; s + 1 < starts.size(); ++s) weight[static_cast<size_t>(starts[s])] = 0;
  }
  Batch alone(size_t s) const {
    const std::vector<int32_t> text(tokens.begin() + starts[s], tokens.begin() + starts[s + 1]);
    return Batch(std::vector<std::vector<int32_t>>{text});
  }
  PackedBatch view() const {
    return {tokens.data(), starts.data(), static_cast<int64_t>(tokens.size()), static_cast<int64_t>(starts.size()) - 1};
  }
};

Floats score(Model& model, const Batch& batch, AdapterUse use) {
  Floats logprobs(batch.tokens.size()), entropies(batch.tokens.size());
  model.score(batch.view(), 1, nullptr, logprobs.data(), entropies.data(), use);
  return logprobs;
}

double accumulate(Model& model, const Batch& batch, Floats* logprobs = nullptr) {
  Floats recomputed(batch.tokens.size());
  LossInputs inputs;
  inputs.weight = batch.weight.data();
  PolicyLossOptions options;
  options.kind = PolicyLossOptions::Kind::kCrossEntropy;
  const double loss = model.accumulate(batch.view(), inputs, options, recomputed.data()).loss;
  if (logprobs != nullptr) *logprobs = recomputed;
  return loss;
}

/// Continues prompts of several lengths by `count` tokens: the texts, and the log-probs of the last one.
std::vector<std::vector<int32_t>> sample(Model& model, AdapterUse use, int count, std::vector<Floats>* sampled) {
  KvCache cache(model.ops(), model.shape(), model.options().dtype, 60);
  Random random(1);
  std::vector<std::vector<int32_t>> texts;
  std::vector<StepRow> rows;
  for (const int64_t length : {1, 31, 32, 530}) {
    std::vector<int32_t> text;
    for (int64_t i = 0; i < length; ++i)
      text.push_back(static_cast<int32_t>(random.next() % static_cast<uint64_t>(model.shape().V)));
    StepRow row;
    row.seq = cache.add();
    row.tokens = text;
    row.sample = true;
    row.key = {3, 0, 0, static_cast<uint32_t>(texts.size()), 0};
    rows.push_back(row);
    texts.push_back(text);
  }
  sampled->assign(texts.size(), {});
  for (int i = 0; i < count; ++i) {
    cache.pin(appends_of(rows));
    const StepResult result = step(model, cache, rows, use);
    cache.commit(result.plan);
    for (size_t r = 0; r < rows.size(); ++r) {
      texts[r].push_back(result.tokens[r]);
      (*sampled)[r].push_back(result.logprobs[r]);
      rows[r].tokens = {result.tokens[r]};
    }
  }
  return texts;
}

void test_passes(DType dtype, bool qk_norm, bool tied, int64_t rank) {
  const std::string label = std::string(dtype_name(dtype)) + (qk_norm ? " with QK-norm" : " with biases") +
                            (tied ? ", tied" : ", untied") + ", rank " + std::to_string(rank);
  const ModelShape shape = tiny_shape(qk_norm, tied);
  Model base(shape, {dtype, false, 1, isa_from_environment(), {}});
  base.initialise(9, 0.2);
  Model model(shape, {dtype, true, 2, isa_from_environment(), {rank, 16.0 / static_cast<double>(rank), kAllLinear, 4}});
  model.initialise(9, 0.2);

  std::vector<Floats> sampled;
  const Batch fresh(sample(model, AdapterUse::kOn, 3, &sampled));
  check(same_bits(score(model, fresh, AdapterUse::kOn), score(base, fresh, AdapterUse::kOn)),
        label + ": a new adapter adds nothing");
  randomise(model, 5);
  for (const AdapterUse use : {AdapterUse::kOn, AdapterUse::kOff}) {
    const std::string with = label + (use == AdapterUse::kOn ? ", adapter on" : ", adapter off");
    const Batch batch(sample(model, use, 40, &sampled));
    const Floats together = score(model, batch, use);
    bool decoded = true, alone = true;
    for (size_t s = 0; s < sampled.size(); ++s) {
      const auto from = together.begin() + batch.starts[s], to = together.begin() + batch.starts[s + 1];
      decoded = decoded && same_bits(Floats(to - 40, to), sampled[s]);
      alone = alone && same_bits(score(model, batch.alone(s), use), Floats(from, to));
    }
    check(decoded, with + ": scored log-probs have the bits of the sampled ones");
    check(alone, with + ": a sequence alone has the bits it has in a pack");
    if (use == AdapterUse::kOff) {
      check(same_bits(together, score(base, batch, AdapterUse::kOn)), with + ": the base model to the bit");
      continue;
    }
    check(!same_bits(together, score(model, batch, AdapterUse::kOff)), with + ": the adapter does something");
    Floats trained;
    accumulate(model, batch, &trained);
    check(same_bits(trained, together), with + ": training recomputes the same log-probs");
    const Floats whole = arena_of(model.trained(), ParameterArena::kGradient);
    model.zero_gradients();
    for (size_t s = 0; s < sampled.size(); ++s) accumulate(model, batch.alone(s));
    check(same_bits(arena_of(model.trained(), ParameterArena::kGradient), whole),
          with + ": micro-batches give the same gradient bits");
    check(std::count(whole.begin(), whole.end(), 0.0f) < static_cast<int64_t>(whole.size()) / 50,
          with + ": every matrix has a gradient");
    model.zero_gradients();
  }
  check(model.parameters().gradients() == nullptr && model.parameters().masters() == nullptr,
        label + ": the base has no gradients and no masters");
}

// d loss / d theta along the signs of the gradient, matrix by matrix.
void test_gradients(bool qk_norm) {
  const ModelShape shape = tiny_shape(qk_norm, true);
  Model model(shape, {DType::kF32, true, 1, isa_from_environment(), {4, 2, kAllLinear, 4}});
  model.initialise(9, 0.2);
  randomise(model, 5);
  std::vector<Floats> sampled;
  const Batch batch(sample(model, AdapterUse::kOn, 4, &sampled));
  Parameters& adapter = model.trained();
  double worst = 0;
  for (size_t i = 0; i < adapter.layout().all().size(); ++i) {
    const Parameter& p = adapter.layout().all()[i];
    const auto n = static_cast<size_t>(p.elements());
    model.zero_gradients();
    accumulate(model, batch);
    Floats gradient(n), values(n), moved(n);
    adapter.read_rows(ParameterArena::kGradient, static_cast<int>(i), 0, p.rows, gradient.data());
    adapter.get(static_cast<int>(i), values.data());
    double slope = 0;
    for (const float g : gradient) slope += std::fabs(static_cast<double>(g));
    const double distance = std::min(0.01, 0.02 / slope);
    const auto loss_at = [&](double along) {
      for (size_t k = 0; k < n; ++k)
        moved[k] = values[k] + static_cast<float>(along) * (gradient[k] > 0 ? 1.0f : -1.0f);
      model.set_parameter(adapter, static_cast<int>(i), moved);
      return accumulate(model, batch);
    };
    const double difference = (loss_at(distance) - loss_at(-distance)) / (2 * distance);
    model.set_parameter(adapter, static_cast<int>(i), values);
    worst = std::max(worst, std::fabs(difference / slope - 1));
  }
  check_below(worst, 0.01,
              std::string("gradients of A and B against finite differences") + (qk_norm ? ", QK-norm" : ", biases"));
}

void test_updates_and_files(DType dtype) {
  const std::string label = dtype_name(dtype);
  const ModelShape shape = tiny_shape(false, true);
  const LoraOptions lora{4, 2, {"q_proj", "v_proj", "down_proj"}, 4};
  const ModelOptions options{dtype, true, 2, isa_from_environment(), lora};
  Model model(shape, options);
  model.initialise(9, 0.2);
  std::vector<Floats> sampled;
  const Batch batch(sample(model, AdapterUse::kOn, 8, &sampled));
  const Floats before = arena_of(model.parameters(), ParameterArena::kWeight);
  const Floats off = score(model, batch, AdapterUse::kOff);
  const double loss = accumulate(model, batch);
  model.update(kAdamW);
  const double next = accumulate(model, batch);
  model.update(kAdamW);
  check(next < loss, label + ": an update lowers the loss");
  check(same_bits(arena_of(model.parameters(), ParameterArena::kWeight), before),
        label + ": updates leave the base as it was");
  check(same_bits(score(model, batch, AdapterUse::kOff), off), label + ": and with it the model without the adapter");

  const std::string adapter_file = temporary("adapter"), optimizer_file = temporary("optimizer");
  save_weights(model.trained(), adapter_file);
  model.save_optimizer(optimizer_file);
  const Floats at_save = score(model, batch, AdapterUse::kOn);
  const Floats weights = arena_of(model.trained(), ParameterArena::kWeight);
  accumulate(model, batch);
  model.update(kAdamW);
  const Floats further = arena_of(model.trained(), ParameterArena::kWeight);

  Model other(shape, options);
  other.initialise(9, 0.2);
  other.load_adapter(adapter_file, AdapterUse::kOn);
  check(same_bits(arena_of(other.trained(), ParameterArena::kWeight), weights), label + ": the adapter file is exact");
  randomise(other, 8);
  other.load_optimizer(optimizer_file);
  check(same_bits(score(other, batch, AdapterUse::kOn), at_save) && other.version() == 2,
        label + ": the optimizer file brings the adapter back");
  accumulate(other, batch);
  other.update(kAdamW);
  check(same_bits(arena_of(other.trained(), ParameterArena::kWeight), further), label + ": and the same next step");

  check_throws([&] { score(other, batch, AdapterUse::kReference); }, "ERR_NO_ADAPTER", "reference adapter",
               label + ": a reference that was not loaded is an error");
  const int64_t bytes = other.bytes();
  other.load_adapter(adapter_file, AdapterUse::kReference);
  check(other.bytes() > bytes, label + ": a reference adapter is counted");
  check(same_bits(score(other, batch, AdapterUse::kReference), at_save),
        label + ": the reference keeps its weights while the adapter moves");

  const std::string merged_file = temporary("merged");
  save_merged_weights(model.parameters(), *model.adapter(AdapterUse::kOn), merged_file);
  Model merged(shape, {dtype, false, 1, isa_from_environment(), {}});
  merged.load(*ModelWeights::open({merged_file}));
  const Floats one = score(merged, batch, AdapterUse::kOn), two = score(model, batch, AdapterUse::kOn);
  double worst = 0;
  for (size_t t = 0; t < one.size(); ++t)
    worst = std::max(worst, std::fabs(static_cast<double>(one[t]) - static_cast<double>(two[t])));
  check_below(worst, dtype == DType::kF32 ? 1e-4 : 0.1, label + ": log-probs of the merged weights");

  // A damaged or foreign file changes nothing.
  Model foreign(shape, {dtype, true, 1, isa_from_environment(), {8, 2, lora.targets, 1}});
  const Floats untouched = arena_of(foreign.trained(), ParameterArena::kWeight);
  check_throws([&] { foreign.load_adapter(adapter_file, AdapterUse::kOn); }, "ERR_SHAPE_MISMATCH", "[8, 24]",
               label + ": an adapter of another rank is refused");
  check_throws([&] { foreign.load_adapter(merged_file, AdapterUse::kOn); }, "ERR_TENSOR_NOT_FOUND", "lora_A",
               label + ": and a file that holds none");
  check_throws([&] { foreign.load_optimizer(optimizer_file); }, "ERR_OPTIMIZER_FILE", "[8, 24]",
               label + ": and the optimizer of another rank");
  check_throws([&] { merged.load_adapter(adapter_file, AdapterUse::kOn); }, "ERR_NO_ADAPTER", "only its own weights",
               label + ": a model without an adapter takes none");
  check_throws(
      [&] {
        Model wrong(shape, {dtype, true, 1, isa_from_environment(), {8, 2, {"lm_head"}, 0}});
      },
      "ERR_LORA", "lm_head", label + ": what is no linear layer of a block is no target");
  check(same_bits(arena_of(foreign.trained(), ParameterArena::kWeight), untouched),
        label + ": all of which changed nothing");
  for (const std::string& file : {adapter_file, optimizer_file, merged_file}) std::filesystem::remove(file);
}

void test_initial_weights() {
  ModelShape shape = tiny_shape(false, true);
  Model model(shape, {DType::kBF16, true, 1, isa_from_environment(), {16, 2, kAllLinear, 4}});
  const Parameters& adapter = model.trained();
  bool within = true, zero = true;
  double sum = 0, squares = 0, count = 0;
  for (size_t i = 0; i < adapter.layout().all().size(); ++i) {
    const Parameter& p = adapter.layout().all()[i];
    Floats values(static_cast<size_t>(p.elements()));
    adapter.get(static_cast<int>(i), values.data());
    const double bound = 1 / std::sqrt(static_cast<double>(p.cols));
    for (const float value : values) {
      const double v = static_cast<double>(value);
      if (i % 2 == 1) {
        zero = zero && value == 0;
        continue;
      }
      within = within && std::fabs(v) <= bound;
      sum += v / bound;
      squares += v / bound * v / bound;
      ++count;
    }
  }
  check(within && zero, "A lies within 1/sqrt(in), B is zero");
  check_below(std::fabs(sum / count), 0.02, "mean of A in units of its bound");
  check_below(std::fabs(squares / count - 1.0 / 3), 0.02, "variance of A against that of a uniform");
  const Floats first = arena_of(adapter, ParameterArena::kWeight);
  const Model other(shape, {DType::kBF16, true, 1, isa_from_environment(), {16, 2, kAllLinear, 5}});
  check(!same_bits(arena_of(other.trained(), ParameterArena::kWeight), first), "another seed gives another A");
}

}  // namespace
}  // namespace toolgrad::test

int main() {
  using namespace toolgrad;
  using namespace toolgrad::test;
  test_passes(DType::kBF16, false, true, 8);
  test_passes(DType::kF32, true, false, 3);
  test_gradients(false);
  test_gradients(true);
  test_updates_and_files(DType::kBF16);
  test_updates_and_files(DType::kF32);
  test_initial_weights();
  return finish();
}
