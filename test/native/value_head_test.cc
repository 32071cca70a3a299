// The value head in the engine, without JavaScript and small enough for the sanitizers: values and gradients have the
// same bits alone, packed and on any number of threads, the policy's gradients do not see the critic, a warm-up moves
// the head alone, and files bring everything back.
#include "engine/value_head.h"

#include <filesystem>

#include "check.h"
#include "engine/model.h"
#include "testing.h"

namespace toolgrad::test {
namespace {

ModelShape tiny_shape(bool tied) {
  ModelShape s;
  s.V = 97;
  s.C = 24;
  s.L = 2;
  s.H = 4;
  s.G = 2;
  s.D = 10;
  s.F = 40;
  s.max_positions = 300;
  s.tied = tied;
  s.qkv_bias = tied;
  s.qk_norm = !tied;
  s.value_head = true;
  return s;
}

struct Tokens {
  std::vector<int32_t> ids, starts{0};
  std::vector<float> weight, advantages, old_logprobs, returns, old_values, value_weight;

  // Every third token is in the value loss alone, every third in the policy loss alone.
  explicit Tokens(const std::vector<int64_t>& lengths) {
    Random random(3);
    for (const int64_t length : lengths) {
      for (int64_t i = 0; i < length; ++i) {
        ids.push_back(static_cast<int32_t>(random.next() % 97));
        weight.push_back(i == 0 || i % 3 == 1 ? 0.0f : 0.02f);
        value_weight.push_back(i == 0 || i % 3 == 2 ? 0.0f : 0.03f);
        advantages.push_back(random.normal());
        old_logprobs.push_back(-4 + random.normal());
        returns.push_back(random.normal());
        old_values.push_back(0.1f * random.normal());
      }
      starts.push_back(static_cast<int32_t>(ids.size()));
    }
  }
  int64_t T() const { return static_cast<int64_t>(ids.size()); }
  int64_t S() const { return static_cast<int64_t>(starts.size()) - 1; }
};

struct Pass {
  PolicyLossStats policy;
  ValueLossStats value;
  std::vector<float> logprobs, values;
};

// One pass over sequences [first, last); without `options` the policy alone.
Pass accumulate(Model& model, const Tokens& all, int64_t first, int64_t last, const ValueLossOptions* options,
                bool detach = false, bool with_policy = true) {
  std::vector<int32_t> starts;
  const int32_t base = all.starts[static_cast<size_t>(first)];
  for (int64_t s = first; s <= last; ++s) starts.push_back(all.starts[static_cast<size_t>(s)] - base);
  const auto T = static_cast<size_t>(starts.back());
  const std::vector<float> none(T, 0.0f);
  Pass pass;
  pass.logprobs.resize(T);
  pass.values.resize(T);
  LossInputs inputs;
  inputs.weight = with_policy ? all.weight.data() + base : none.data();
  inputs.advantages = all.advantages.data() + base;
  inputs.old_logprobs = all.old_logprobs.data() + base;
  PolicyLossOptions policy;
  policy.entropy_coef = 0.01f;
  ValuePart part;
  part.returns = all.returns.data() + base;
  part.old_values = all.old_values.data() + base;
  part.weight = all.value_weight.data() + base;
  part.detach_trunk = detach;
  part.values = pass.values.data();
  if (options != nullptr) part.options = *options;
  pass.policy = model.accumulate({all.ids.data() + base, starts.data(), starts.back(), last - first}, inputs, policy,
                                 pass.logprobs.data(), options != nullptr ? &part : nullptr);
  pass.value = part.stats;
  return pass;
}

std::vector<std::vector<float>> read_all(const Model& model, ParameterArena arena) {
  std::vector<std::vector<float>> all;
  for (const Parameter& p : model.parameters().layout().all()) {
    std::vector<float> values(static_cast<size_t>(p.elements()));
    model.parameters().read_rows(arena, static_cast<int>(all.size()), 0, p.rows, values.data());
    all.push_back(std::move(values));
  }
  return all;
}

bool same(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b, size_t from, size_t to) {
  bool equal = true;
  for (size_t i = from; i < to; ++i) equal = equal && same_bits(a[i], b[i]);
  return equal;
}

bool all_zero(const std::vector<float>& values) {
  for (const float v : values)
    if (v != 0) return false;
  return true;
}

void set_head(Model& model) {
  Random random(8);
  const ParameterLayout& layout = model.parameters().layout();
  model.set_parameter(model.parameters(), layout.value_weight(), random.normals(model.shape().C, 0.3f));
  model.set_parameter(model.parameters(), layout.value_bias(), {0.25f});
}

void test_model(DType dtype, bool tied) {
  const std::string label = std::string(dtype_name(dtype)) + (tied ? ", tied: " : ", untied: ");
  const ModelShape shape = tiny_shape(tied);
  const Tokens tokens({33, 1, 7, 64, 2});
  const PackedBatch batch{tokens.ids.data(), tokens.starts.data(), tokens.T(), tokens.S()};
  const ValueLossOptions clipped{0.2f, 0.5f}, off{0.2f, 0};
  Model model(shape, {dtype, true, 2, isa_from_environment()});
  model.initialise(9, 0.2);
  const size_t head = static_cast<size_t>(model.parameters().layout().value_weight());
  const size_t bias = static_cast<size_t>(model.parameters().layout().value_bias());
  check(bias == head + 1 && bias + 1 == model.parameters().layout().all().size(), label + "the head comes last");

  std::vector<float> values(tokens.ids.size(), -1.0f);
  model.values(batch, nullptr, values.data());
  check(all_zero(values), label + "a new head gives the value 0");
  set_head(model);

  // Values against the hidden states in float64, and alone against packed.
  model.values(batch, nullptr, values.data());
  std::vector<float> hidden(tokens.ids.size() * static_cast<size_t>(shape.C)), weights(static_cast<size_t>(shape.C));
  std::vector<int32_t> rows;
  for (int32_t t = 0; t < tokens.T(); ++t) rows.push_back(t);
  model.hidden(batch, rows.data(), tokens.T(), hidden.data());
  model.parameters().get(static_cast<int>(head), weights.data());
  double worst = 0;
  bool firsts = true, alone_equal = true;
  for (int64_t s = 0; s < tokens.S(); ++s) {
    const int32_t from = tokens.starts[static_cast<size_t>(s)], to = tokens.starts[static_cast<size_t>(s) + 1];
    firsts = firsts && values[static_cast<size_t>(from)] == 0;
    for (int32_t t = from + 1; t < to; ++t) {
      Chain chain;
      for (int64_t c = 0; c < shape.C; ++c)
        chain.add(static_cast<double>(hidden[static_cast<size_t>((t - 1) * shape.C + c)]),
                  static_cast<double>(weights[static_cast<size_t>(c)]));
      chain.add(0.25);
      worst = std::max(worst, chain.error(values[static_cast<size_t>(t)], shape.C + 1));
    }
    const std::vector<int32_t> starts{0, to - from};
    std::vector<float> alone(static_cast<size_t>(to - from));
    model.values({tokens.ids.data() + from, starts.data(), to - from, 1}, nullptr, alone.data());
    alone_equal = alone_equal && same_bits(alone, {values.begin() + from, values.begin() + to});
  }
  check(firsts, label + "the first token of a sequence has no value");
  check_below(worst, 1, label + "V of token t is read at row t - 1, in units of the bound of one chain");
  check(alone_equal, label + "values have the same bits alone and packed");

  // The policy does not see the critic.
  const Pass plain = accumulate(model, tokens, 0, tokens.S(), nullptr);
  const auto policy = read_all(model, ParameterArena::kGradient);
  model.zero_gradients();
  const Pass silent = accumulate(model, tokens, 0, tokens.S(), &off);
  const auto with_silent = read_all(model, ParameterArena::kGradient);
  check(
      same(policy, with_silent, 0, head + 2) && all_zero(with_silent[head]) && silent.policy.loss == plain.policy.loss,
      label + "with coef 0 loss and gradients have the bits of the policy alone");
  model.zero_gradients();
  const Pass detached = accumulate(model, tokens, 0, tokens.S(), &clipped, true);
  const auto with_detached = read_all(model, ParameterArena::kGradient);
  check(same(policy, with_detached, 0, head) && !all_zero(with_detached[head]) && with_detached[bias][0] != 0,
        label + "with the trunk detached only the head gets more gradient");
  model.zero_gradients();
  const Pass joint = accumulate(model, tokens, 0, tokens.S(), &clipped);
  const auto both = read_all(model, ParameterArena::kGradient);
  check(same(with_detached, both, head, head + 2), label + "the head's gradient is the same, detached or not");
  const auto q = static_cast<size_t>(model.parameters().layout().layer(0).q);
  check(!same(policy, both, q, q + 1), label + "undetached, the trunk's gradient has the critic's part");
  const auto vocabulary = static_cast<size_t>(model.parameters().layout().head());
  if (!tied)
    check(same(policy, both, vocabulary, vocabulary + 1), label + "the vocabulary head's gradient has the same bits");
  bool wanted_only = true;
  for (size_t t = 0; t < values.size(); ++t)
    wanted_only = wanted_only && joint.values[t] == (tokens.value_weight[t] != 0 ? values[t] : 0.0f);
  check(wanted_only, label + "training sees the values of values(), and no others");
  check(same_bits(joint.logprobs, plain.logprobs) && same_bits(detached.logprobs, plain.logprobs),
        label + "log-probs do not depend on the critic");
  check_below(std::fabs(joint.policy.loss - plain.policy.loss - 0.5 * joint.value.loss), 1e-12,
              label + "the total has coef times the value loss");

  // Micro-batches, and a critic alone.
  model.zero_gradients();
  ValueLossStats sum;
  for (int64_t s = 0; s < tokens.S(); ++s) sum.add(accumulate(model, tokens, s, s + 1, &clipped).value);
  check(same(read_all(model, ParameterArena::kGradient), both, 0, head + 2) && sum.tokens == joint.value.tokens,
        label + "micro-batches give the same gradient bits");
  model.zero_gradients();
  const Pass critic = accumulate(model, tokens, 0, tokens.S(), &clipped, false, false);
  const auto alone = read_all(model, ParameterArena::kGradient);
  check(same_bits(critic.values, joint.values) && same(alone, both, head, head + 2) && all_zero(critic.logprobs),
        label + "without policy weights the critic's values and head gradient are the same");
  if (!tied) check(all_zero(alone[vocabulary]), label + "and the vocabulary's head has none");

  // Backward is linear: one pass with both losses gives the sum of two passes.
  double worst_sum = 0;
  for (size_t i = 0; i < both.size(); ++i) {
    double difference = 0, norm = 0;
    for (size_t n = 0; n < both[i].size(); ++n) {
      const double sum_of_two = static_cast<double>(policy[i][n]) + static_cast<double>(alone[i][n]);
      difference += std::pow(static_cast<double>(both[i][n]) - sum_of_two, 2);
      norm += sum_of_two * sum_of_two;
    }
    worst_sum = std::max(worst_sum, std::sqrt(difference / norm));
  }
  // ... as far as products do not round what they are given.
  const double rounding = dtype == DType::kBF16 ? 0x1p-7 : 1e-5;
  check_below(worst_sum, rounding, label + "the gradient of both losses is the sum of their gradients");

  // A warm-up moves the head alone; then both move, with learning rates of their own.
  AdamWOptions adamw{0.01f, 0.9f, 0.95f, 1e-8f, 0.1f, 1};
  AdamWOptions head_only = adamw;
  head_only.value_head_only = true;
  const auto weights_before = read_all(model, ParameterArena::kWeight),
             masters = read_all(model, ParameterArena::kMaster);
  const int64_t epoch = model.weights_epoch();
  for (int i = 0; i < 3; ++i) {
    accumulate(model, tokens, 0, tokens.S(), &clipped, true, false);
    check(model.update(head_only).step == i + 1, label + "warm-up step " + std::to_string(i + 1));
  }
  check(same(weights_before, read_all(model, ParameterArena::kWeight), 0, head) &&
            same(masters, read_all(model, ParameterArena::kMaster), 0, head),
        label + "a warm-up leaves weights and masters of the trunk to the bit");
  const auto moments = read_all(model, ParameterArena::kMoment1);
  bool still = true;
  for (size_t i = 0; i < head; ++i) still = still && all_zero(moments[i]);
  check(still && !all_zero(moments[head]) && model.version() == 0 && model.weights_epoch() == epoch,
        label + "nor its moments, its version and the cached keys");
  check(!same(masters, read_all(model, ParameterArena::kMaster), head, head + 1), label + "and moves the head");
  const std::string path = (std::filesystem::temp_directory_path() / "toolgrad_value_head_test.safetensors").string();
  const std::string head_path = path + ".head";
  model.save_optimizer(path);
  model.save_value_head(head_path);
  const auto step = [&](Model& m) {
    accumulate(m, tokens, 0, tokens.S(), &clipped);
    AdamWOptions separate = adamw;
    separate.value_lr = 0.05f;
    return m.update(separate).step;
  };
  check(step(model) == 1, label + "the first update of everything is step 1");
  const auto after = read_all(model, ParameterArena::kMaster);
  Model again(shape, {dtype, true, 1, isa_from_environment()});
  again.load_optimizer(path);
  check(step(again) == 1 && same(after, read_all(again, ParameterArena::kMaster), 0, head + 2) &&
            same(read_all(model, ParameterArena::kWeight), read_all(again, ParameterArena::kWeight), 0, head + 2),
        label + "a resumed model takes the same step on one thread");
  Model fresh(shape, {dtype, false, 1, isa_from_environment()});
  fresh.load_value_head(head_path);
  model.load_optimizer(path);
  std::vector<float> read(static_cast<size_t>(shape.C)), kept(static_cast<size_t>(shape.C));
  fresh.parameters().get(static_cast<int>(head), read.data());
  model.parameters().get(static_cast<int>(head), kept.data());
  check(same_bits(read, kept), label + "the head's file holds fp32 values to the bit");

  ModelShape without = shape;
  without.value_head = false;
  Model plain_model(without, {dtype, true, 1, isa_from_environment()});
  check_throws([&] { plain_model.load_optimizer(path); }, "ERR_OPTIMIZER_FILE", "belongs to another model",
               label + "a model without a head refuses the state of one with");
  plain_model.save_optimizer(path);
  check_throws([&] { model.load_optimizer(path); }, "ERR_OPTIMIZER_FILE", "without: open the model",
               label + "and the other way round");
  check_throws([&] { plain_model.values(batch, nullptr, values.data()); }, "ERR_NO_VALUE_HEAD", "valueHead: true",
               label + "values() needs a head");
  check_throws([&] { model.load_value_head(path); }, "ERR_TENSOR_NOT_FOUND", "value_head.weight",
               label + "a file without a head is refused");
  std::filesystem::remove(path);
  std::filesystem::remove(head_path);
}

}  // namespace
}  // namespace toolgrad::test

int main() {
  using namespace toolgrad;
  using namespace toolgrad::test;
  test_model(DType::kBF16, true);
  test_model(DType::kF32, false);
  return finish();
}
