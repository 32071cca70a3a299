// The engine end to end without JavaScript, small enough for the sanitizers: passes, cache and files of a tiny model, and
// the page bookkeeping of the KV cache under random operations against a plain count.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "check.h"
#include "engine/generate.h"
#include "engine/kv_cache.h"
#include "engine/model.h"

namespace toolgrad::test {
namespace {

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

std::vector<int32_t> random_ids(Random& random, int64_t count, int64_t V) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(random.next() % static_cast<uint64_t>(V)));
  return ids;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

StepResult run_step(Model& model, KvCache& cache, const std::vector<StepRow>& rows) {
  cache.pin(appends_of(rows));
  StepResult result = step(model, cache, rows);
  cache.commit(result.plan);
  return result;
}

StepRow sampled_row(int32_t seq, std::vector<int32_t> tokens, uint32_t sample) {
  StepRow row;
  row.seq = seq;
  row.tokens = std::move(tokens);
  row.sample = true;
  row.key = {3, 0, 0, sample, 0};
  return row;
}

std::vector<float> gradients_of(const Model& model) {
  const ParameterLayout& layout = model.parameters().layout();
  std::vector<float> all;
  for (size_t i = 0; i < layout.all().size(); ++i) {
    std::vector<float> values(static_cast<size_t>(layout.all()[i].elements()));
    model.parameters().read_rows(ParameterArena::kGradient, static_cast<int>(i), 0, layout.all()[i].rows,
                                 values.data());
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

void test_passes(DType dtype, bool qk_norm, bool tied) {
  const std::string label =
      std::string(dtype_name(dtype)) + (qk_norm ? " with QK-norm" : " with biases") + (tied ? ", tied" : ", untied");
  Random random(1);
  const ModelShape shape = tiny_shape(qk_norm, tied);
  Model model(shape, {dtype, true, 2, isa_from_environment()});
  model.initialise(9, 0.2);

  // Sample 40 tokens after prompts of different lengths, one of them longer than a chunk, then score what was sampled.
  KvCache cache(model.ops(), shape, dtype, 60);
  std::vector<std::vector<int32_t>> texts;
  std::vector<StepRow> rows;
  for (const int64_t length : {1, 31, 32, 530}) {
    texts.push_back(random_ids(random, length, shape.V));
    rows.push_back(sampled_row(cache.add(), texts.back(), static_cast<uint32_t>(texts.size())));
  }
  std::vector<std::vector<float>> sampled(texts.size());
  for (int i = 0; i < 40; ++i) {
    const StepResult result = run_step(model, cache, rows);
    for (size_t r = 0; r < rows.size(); ++r) {
      texts[r].push_back(result.tokens[r]);
      sampled[r].push_back(result.logprobs[r]);
      rows[r].tokens = {result.tokens[r]};
    }
  }
  std::vector<int32_t> tokens, starts{0};
  for (const auto& text : texts) {
    tokens.insert(tokens.end(), text.begin(), text.end());
    starts.push_back(static_cast<int32_t>(tokens.size()));
  }
  const PackedBatch batch{tokens.data(), starts.data(), static_cast<int64_t>(tokens.size()),
                          static_cast<int64_t>(texts.size())};
  std::vector<float> logprobs(tokens.size()), entropies(tokens.size());
  model.score(batch, 1, nullptr, logprobs.data(), entropies.data());
  bool equal = true;
  for (size_t r = 0; r < texts.size(); ++r) {
    const std::vector<float> scored(logprobs.begin() + starts[r + 1] - 40, logprobs.begin() + starts[r + 1]);
    equal = equal && same_bits(scored, sampled[r]);
  }
  check(equal, label + ": scored log-probs have the bits of the sampled ones");

  // Gradients: whole batch against one sequence at a time.
  std::vector<float> weight(tokens.size(), 0.01f), trained(tokens.size());
  for (size_t s = 0; s < texts.size(); ++s) weight[static_cast<size_t>(starts[s])] = 0;
  PolicyLossOptions options;
  options.kind = PolicyLossOptions::Kind::kCrossEntropy;
  const auto accumulate = [&](size_t from, size_t to, Recompute recompute = Recompute::kNone) {
    std::vector<int32_t> part;
    for (size_t s = from; s <= to; ++s) part.push_back(starts[s] - starts[from]);
    const auto at = static_cast<size_t>(starts[from]);
    LossInputs inputs;
    inputs.weight = weight.data() + at;
    return model.accumulate({tokens.data() + at, part.data(), part.back(), static_cast<int64_t>(to - from)}, inputs,
                            options, trained.data() + at, nullptr, recompute);
  };
  const double loss = accumulate(0, texts.size()).loss;
  const std::vector<float> whole = gradients_of(model);
  check(same_bits(trained, logprobs), label + ": training recomputes the same log-probs");
  model.zero_gradients();
  double parts_loss = 0;
  for (size_t s = 0; s < texts.size(); ++s) parts_loss += accumulate(s, s + 1).loss;
  check(same_bits(gradients_of(model), whole), label + ": micro-batches give the same gradient bits");
  check_below(std::fabs(loss - parts_loss), 1e-9, label + ": their losses add up");
  for (const Recompute recompute : {Recompute::kSelective, Recompute::kFull}) {
    model.zero_gradients();
    const bool same_loss = accumulate(0, texts.size(), recompute).loss == loss;
    check(same_loss && same_bits(gradients_of(model), whole), label + ": recomputed activations give the same bits");
  }

  // An update follows the gradient; the optimizer's file restores it.
  const std::string path = (std::filesystem::temp_directory_path() / "toolgrad_transformer_test.safetensors").string();
  model.update({0.01f, 0.9f, 0.95f, 1e-8f, 0, 1});
  model.save_optimizer(path);
  const double after = accumulate(0, texts.size()).loss;
  check(after < loss, label + ": one update lowers the loss");
  model.update({0.01f, 0.9f, 0.95f, 1e-8f, 0, 1});
  const double further = accumulate(0, texts.size()).loss;
  model.load_optimizer(path);
  check(accumulate(0, texts.size()).loss == after, label + ": the optimizer file brings the weights back");
  model.update({0.01f, 0.9f, 0.95f, 1e-8f, 0, 1});
  check(accumulate(0, texts.size()).loss == further, label + ": and the same next step");
  std::filesystem::remove(path);
  cache.clear();
  check_throws([&] { run_step(model, cache, {sampled_row(0, {1}, 0)}); }, "ERR_NO_SEQUENCE", "which was freed",
               label + ": a cleared sequence is gone");
}

// Random add, fork, append (committed or rolled back), free; after each: no page is both free and held, the count adds
// up, a page that a step writes belongs to that step's sequence alone.
void test_page_bookkeeping() {
  constexpr int64_t kPages = 24;
  const ModelShape shape = tiny_shape(true, true);
  ThreadPool pool(1);
  const std::unique_ptr<Ops> ops = make_cpu_ops(best_isa(), pool);
  KvCache cache(*ops, shape, DType::kF32, kPages);
  Random random(5);
  std::map<int32_t, int64_t> lengths;
  std::map<int32_t, std::vector<int32_t>> pages;
  bool counts = true, exclusive = true, lengths_right = true;
  int full = 0;
  for (int round = 0; round < 4000; ++round) {
    const uint64_t what = random.next() % 10;
    auto pick = lengths.begin();
    if (!lengths.empty()) std::advance(pick, static_cast<int64_t>(random.next() % lengths.size()));
    if (lengths.empty() || what == 0) {
      const int32_t seq = cache.add();
      lengths[seq] = 0;
      pages[seq] = {};
    } else if (what == 1 || what == 2) {
      const int32_t seq = cache.fork(pick->first);
      lengths[seq] = pick->second;
      pages[seq] = pages[pick->first];
    } else if (what == 3) {
      cache.free(pick->first);
      pages.erase(pick->first);
      lengths.erase(pick);
    } else {
      std::vector<KvAppend> appends;
      for (const auto& [seq, length] : lengths) {
        if (random.next() % 3 == 0) appends.push_back({seq, 1 + static_cast<int64_t>(random.next() % 40)});
      }
      int64_t most = 0;
      for (const KvAppend& append : appends) most += cache.pages_for(append.seq, append.tokens);
      cache.pin(appends);
      try {
        const KvPlan plan = cache.plan(appends, 1);
        cache.prepare(plan);
        std::map<int32_t, int> holders;
        for (const auto& [seq, held] : pages) {
          bool in_step = false;
          for (const KvPlan::Row& row : plan.rows) in_step = in_step || row.seq == seq;
          if (!in_step) {
            for (const int32_t page : held) ++holders[page];
          }
        }
        for (const KvPlan::Row& row : plan.rows) {
          for (const int32_t page : row.pages) ++holders[page];
        }
        for (const KvPlan::Row& row : plan.rows) {
          for (int64_t at = row.length_before / kKvPageSize; at < static_cast<int64_t>(row.pages.size()); ++at)
            exclusive = exclusive && holders[row.pages[static_cast<size_t>(at)]] == 1;
        }
        if (random.next() % 4 == 0) {
          cache.roll_back(plan);
        } else {
          cache.commit(plan);
          for (const KvPlan::Row& row : plan.rows) {
            lengths[row.seq] = row.length_after;
            pages[row.seq] = row.pages;
          }
        }
      } catch (const Error& error) {
        exclusive = exclusive && error.code() == "ERR_KV_FULL" && most > cache.pages_free();
        ++full;
      }
    }
    std::set<int32_t> held;
    for (const auto& [seq, list] : pages) held.insert(list.begin(), list.end());
    counts = counts && cache.pages_free() + static_cast<int64_t>(held.size()) == kPages;
    for (const auto& [seq, length] : lengths) lengths_right = lengths_right && cache.length(seq) == length;
  }
  check(counts, "free and held pages add up after every operation");
  check(exclusive, "a page that is written has one holder, and only a step that lacks pages is refused");
  check(lengths_right, "lengths change by commits only");
  check(full > 50, "the cache was full " + std::to_string(full) + " times");
  cache.clear();
  check(cache.pages_free() == kPages, "clear() gives every page back");
}

void test_freed_while_pinned() {
  const ModelShape shape = tiny_shape(true, true);
  ThreadPool pool(1);
  const std::unique_ptr<Ops> ops = make_cpu_ops(best_isa(), pool);
  KvCache cache(*ops, shape, DType::kF32, 4);
  const int32_t seq = cache.add();
  cache.pin({{seq, 40}});
  check_throws([&] { cache.pin({{seq, 1}}); }, "ERR_SEQUENCE_BUSY", "has not ended", "a taken sequence is busy");
  const KvPlan plan = cache.plan({{seq, 40}}, 1);
  cache.free(seq);
  check_throws([&] { static_cast<void>(cache.length(seq)); }, "ERR_NO_SEQUENCE", "which was freed",
               "a sequence freed during its step is gone at once");
  check(cache.pages_free() == 2, "its pages stay until the step ends");
  cache.commit(plan);
  check(cache.pages_free() == 4, "and go then");
}

void test_shapes_and_positions() {
  ModelShape shape = tiny_shape(false, true);
  shape.max_positions = 5;
  RopeTable table(shape);
  table.grow(5);
  check(table.cos()[0] == 1 && table.sin()[0] == 0, "position 0 is not rotated");
  check_throws([&] { table.grow(6); }, "ERR_TOO_LONG", "at most 5 tokens", "positions end with the model's");
  shape.D = 9;
  check_throws([&] { check_shape(shape); }, "ERR_MODEL_SHAPE", "even head_dim", "an odd head size is refused");
  check_throws([&] { Buffer buffer(size_t{1} << 62, "a test"); }, "ERR_OUT_OF_MEMORY", "for a test",
               "memory that cannot be had is refused with the numbers");
}

}  // namespace
}  // namespace toolgrad::test

int main() {
  using namespace toolgrad;
  using namespace toolgrad::test;
  test_passes(DType::kBF16, false, true);
  test_passes(DType::kF32, true, false);
  test_page_bookkeeping();
  test_freed_while_pinned();
  test_shapes_and_positions();
  return finish();
}
