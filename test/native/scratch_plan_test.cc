// Scratch memory of the CPU's kernels: what was planned against what is held after real passes.
#include "cpu/scratch_plan.h"

#include <string>
#include <vector>

#include "engine/generate.h"
#include "engine/kv_cache.h"
#include "engine/model.h"
#include "testing.h"

namespace toolgrad::test {
namespace {

constexpr int64_t kLength = 96, kSequences = 6;

ModelShape shape_of(int64_t V, int64_t C, int64_t F, bool value_head) {
  ModelShape s;
  s.V = V;
  s.C = C;
  s.L = 2;
  s.H = 6;
  s.G = 2;
  s.D = 24;
  s.F = F;
  s.max_positions = 256;
  s.tied = true;
  s.value_head = value_head;
  return s;
}

struct Texts {
  std::vector<int32_t> tokens, starts{0};
  explicit Texts(int64_t V) {
    Random random(3);
    for (int64_t s = 0; s < kSequences; ++s) {
      for (int64_t i = 0; i < kLength; ++i)
        tokens.push_back(static_cast<int32_t>(random.next() % static_cast<uint64_t>(V)));
      starts.push_back(static_cast<int32_t>(tokens.size()));
    }
  }
  PackedBatch batch() const { return {tokens.data(), starts.data(), kSequences * kLength, kSequences}; }
};

void run(Model& model, const Texts& texts, const Pass& pass) {
  const PackedBatch batch = texts.batch();
  std::vector<float> a(texts.tokens.size()), b(texts.tokens.size()), weight(texts.tokens.size(), 0.01f);
  if (pass.kind == Pass::Kind::kScoring) return model.score(batch, 1, nullptr, a.data(), b.data());
  if (pass.kind == Pass::Kind::kValues) return model.values(batch, nullptr, a.data());
  if (pass.kind == Pass::Kind::kStep) {
    KvCache cache(model.ops(), model.shape(), DType::kBF16, kSequences * 4);
    std::vector<StepRow> rows(static_cast<size_t>(kSequences));
    for (size_t r = 0; r < rows.size(); ++r) {
      rows[r].seq = cache.add();
      rows[r].tokens.assign(texts.tokens.begin() + texts.starts[r], texts.tokens.begin() + texts.starts[r + 1]);
      rows[r].sample = true;
    }
    cache.pin(appends_of(rows));
    cache.commit(step(model, cache, rows).plan);
    return;
  }
  PolicyLossOptions options;
  options.kind = PolicyLossOptions::Kind::kCrossEntropy;
  const bool critic = pass.kind == Pass::Kind::kCritic;
  LossInputs inputs;
  const std::vector<float> nothing(weight.size(), 0.0f);
  inputs.weight = critic ? nothing.data() : weight.data();
  ValuePart value;
  value.returns = value.old_values = nothing.data();
  value.weight = weight.data();
  value.options.coef = 1;
  value.values = b.data();
  model.accumulate(batch, inputs, options, a.data(), critic ? &value : nullptr, pass.recompute);
}

void test_pass(const char* what, const ModelShape& shape, Pass pass, int threads, DType dtype, Isa isa) {
  ModelOptions options{dtype, pass.trains(), threads, isa};
  if (pass.lora_rank > 0) options.lora = {pass.lora_rank, 1, {"q_proj", "down_proj"}, 0};
  Model model(shape, options);
  model.initialise(4, 0.1);
  run(model, Texts(shape.V), pass);
  const auto planned = static_cast<double>(scratch_bytes(shape, dtype, pass, threads, isa));
  const auto held = static_cast<double>(model.ops().scratch_held());
  constexpr double kSmall = 96 * 1024;  // of a thread: what is not worth planning
  check_below(std::fabs(planned - held), 0.1 * held + kSmall * threads,
              std::string(isa_name(isa)) + ", " + dtype_name(dtype) + ", " + what + ", hidden " +
                  std::to_string(shape.C) + ", " + std::to_string(threads) +
                  " threads: scratch planned is what is held, " + std::to_string(model.ops().scratch_held()));
}

}  // namespace
}  // namespace toolgrad::test

int main() {
  using namespace toolgrad;
  using namespace toolgrad::test;
  constexpr int64_t T = kSequences * kLength;
  using Kind = Pass::Kind;
  for (const Isa isa : supported_isas()) {
    const bool best = isa == best_isa();
    if (isa == Isa::kPortable && !best) continue;  // slow, and planned like the others
    for (const auto& [dtype, threads] : {std::pair{DType::kBF16, 3}, {DType::kBF16, 1}, {DType::kF32, 1}}) {
      if (!best && (dtype == DType::kF32 || threads == 1)) continue;
      const auto test = [&](const char* what, const ModelShape& shape, Pass pass) {
        test_pass(what, shape, pass, threads, dtype, isa);
      };
      const ModelShape narrow = shape_of(700, 64, 160, false), wide = shape_of(5000, 256, 1024, false);
      for (const ModelShape& shape : {narrow, wide}) {
        test("training", shape, {Kind::kTraining, T, kLength});
        test("training, recomputed", shape, {Kind::kTraining, T, kLength, Recompute::kFull});
        test("an adapter", shape, {Kind::kTraining, T, kLength, Recompute::kNone, 64});
        test("scoring", shape, {Kind::kScoring, T, kLength});
      }
      const ModelShape critic = shape_of(5000, 256, 512, true);
      test("a critic", critic, {Kind::kCritic, T, kLength});
      test("values", critic, {Kind::kValues, T, kLength});
      test("a step", wide, {Kind::kStep, kSequences, kLength});
    }
  }
  return finish();
}
