// Decoding steps replayed as graphs against the same steps launch by launch: bits, how often, how many calls of the driver,
// and what happens when a graph cannot be made or fails. The cache of graphs by itself comes last.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "cuda_control.h"
#include "cuda_settled.h"
#include "engine/generate.h"
#include "engine/kv_cache.h"
#include "engine/model.h"
#include "graph_cache.h"

namespace toolgrad::test {
namespace {

ModelShape small_shape() {
  ModelShape s;
  s.V = 300;
  s.C = 32;
  s.L = 2;
  s.H = 4;
  s.G = 2;
  s.D = 16;
  s.F = 48;
  s.max_positions = 700;
  s.qk_norm = true;
  return s;
}

std::vector<int32_t> random_ids(Random& random, int64_t count, int64_t V) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(random.next() % static_cast<uint64_t>(V)));
  return ids;
}

/// A model on the first GPU, with or without graphs; the device goes with it.
struct GpuModel {
  ModelShape shape = small_shape();
  Model model;
  std::shared_ptr<cuda::CudaDevice> device = cuda::CudaDevice::open(0);

  explicit GpuModel(bool graphs, uint64_t seed = 9) : model(shape, options(graphs)) { model.initialise(seed, 0.2); }
  static ModelOptions options(bool graphs) {
    set_variable("TOOLGRAD_CUDA_GRAPHS", graphs ? "" : "0");
    ModelOptions options;
    options.threads = 2;
    options.cuda = 0;
    return options;
  }
  cuda::GraphCounts counts() const { return device->graph_counts(); }
};

struct Written {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  bool operator==(const Written& other) const { return tokens == other.tokens && same_bits(logprobs, other.logprobs); }
};

StepRow row_of(int32_t seq, std::vector<int32_t> tokens, uint32_t sample) {
  StepRow row;
  row.seq = seq;
  row.tokens = std::move(tokens);
  row.sample = true;
  row.temperature = sample % 3 == 0 ? 0.0f : 0.9f;
  row.top_k = sample % 3 == 1 ? 20 : 0;
  row.top_p = sample % 3 == 2 ? 0.9f : 1.0f;
  row.key = {3, 0, 0, sample, 0};
  return row;
}

StepResult run_step(Model& model, KvCache& cache, const std::vector<StepRow>& rows) {
  cache.pin(appends_of(rows));
  StepResult result = step(model, cache, rows);
  cache.commit(result.plan);
  return result;
}

/// One decoding step; every row goes on with what was sampled.
void decode(Model& model, KvCache& cache, std::vector<StepRow>& rows, Written* written) {
  const StepResult result = run_step(model, cache, rows);
  for (size_t r = 0; r < rows.size(); ++r) rows[r].tokens = {result.tokens[r]};
  written->tokens.insert(written->tokens.end(), result.tokens.begin(), result.tokens.end());
  written->logprobs.insert(written->logprobs.end(), result.logprobs.begin(), result.logprobs.end());
}

/// Prompts of several lengths, one of which passes 512 tokens on the way; forks; sequences that end.
Written generate(GpuModel& gpu) {
  Random random(4);
  KvCache cache(gpu.model.ops(), gpu.shape, DType::kBF16, 120);
  std::vector<StepRow> rows;
  uint32_t sample = 0;
  for (const int64_t length : {3, 31, 60, 505})
    rows.push_back(row_of(cache.add(), random_ids(random, length, gpu.shape.V), sample++));
  Written written;
  for (int i = 0; i < 24; ++i) {
    if (i == 4) {
      rows.push_back(rows[1]);
      rows.back().seq = cache.fork(rows[1].seq);
      rows.back().key.sample = sample++;
    }
    if (i == 10 || i == 14 || i == 20) {
      cache.free(rows[0].seq);
      rows.erase(rows.begin());
    }
    decode(gpu.model, cache, rows, &written);
  }
  return written;
}

void test_equal() {
  Written eager;
  {
    GpuModel gpu(false);
    eager = generate(gpu);
    check(!gpu.device->makes_graphs() && gpu.counts().made == 0 && gpu.counts().replayed == 0,
          "TOOLGRAD_CUDA_GRAPHS=0 makes none");
  }
  for (const int seed : {0, 1, 2}) {
    if (!set_schedule(seed) && seed > 0) break;
    GpuModel gpu(true);
    const bool same = generate(gpu) == eager;
    const cuda::GraphCounts counts = gpu.counts();
    check(same,
          "schedule " + std::to_string(seed) +
              ": tokens and log-probs of 24 steps with forks, ends and four batch sizes are those without graphs");
    // 23 decoding steps: batches of 4, 5, 4, 3, 2, and the longest sequence passes 512 tokens in the middle. Of each kind
    // the first is queued and the second made into a graph; the step at which scratch memory grows is queued.
    std::printf("       of 23 steps %lld were queued, %lld made into graphs, %lld replayed\n",
                static_cast<long long>(counts.queued), static_cast<long long>(counts.made),
                static_cast<long long>(counts.replayed));
    check(counts.queued + counts.made + counts.replayed == 23 && counts.made >= 4 && counts.replayed >= 8,
          "and most of them were replayed");
  }
  set_schedule(0);
}

/// The calls of one decoding step of five sequences, as the simulated device counts them.
void test_calls() {
  if (driver_calls("cuLaunchKernel") < 0) return;
  const auto calls_of_a_step = [](bool graphs, const std::string& label) {
    GpuModel gpu(graphs);
    Random random(5);
    KvCache cache(gpu.model.ops(), gpu.shape, DType::kBF16, 40);
    std::vector<StepRow> rows;
    Written written;
    for (uint32_t s = 0; s < 5; ++s) rows.push_back(row_of(cache.add(), random_ids(random, 40, gpu.shape.V), s));
    for (int i = 0; i < 5; ++i) decode(gpu.model, cache, rows, &written);
    const auto before = all_driver_calls();
    decode(gpu.model, cache, rows, &written);
    int64_t total = 0;
    std::string list;
    for (const auto& [name, count] : all_driver_calls()) {
      const auto found = before.find(name);
      const int64_t added = count - (found == before.end() ? 0 : found->second);
      total += added;
      if (added > 0) list += (list.empty() ? "" : ", ") + name + " " + std::to_string(added);
    }
    std::printf("       %s: %lld calls of the driver in a step of 2 layers (%s)\n", label.c_str(),
                static_cast<long long>(total), list.c_str());
    return total;
  };
  const int64_t eager = calls_of_a_step(false, "launch by launch"), replay = calls_of_a_step(true, "replayed");
  check(replay < 20 && eager > 3 * replay, "a replayed step needs a fraction of the calls, however many the layers");
}

void test_weights() {
  const auto run = [](bool graphs, cuda::GraphCounts* counts) {
    GpuModel gpu(graphs);
    Written written;
    Random random(6);
    KvCache cache(gpu.model.ops(), gpu.shape, DType::kBF16, 40);
    const std::vector<int32_t> prompt = random_ids(random, 20, gpu.shape.V);
    std::vector<Written> parts;
    for (int round = 0; round < 3; ++round) {
      if (round == 1) {  // the same memory, other values
        const Parameter& p = gpu.model.parameters().layout().all().at(2);
        std::vector<float> values(static_cast<size_t>(p.elements()), 0.125f);
        gpu.model.set_parameter(gpu.model.parameters(), 2, values);
      }
      if (round == 2) gpu.model.initialise(77, 0.2);
      cache.clear();
      std::vector<StepRow> rows{row_of(cache.add(), prompt, 0), row_of(cache.add(), prompt, 1)};
      parts.emplace_back();
      for (int i = 0; i < 6; ++i) decode(gpu.model, cache, rows, &parts.back());
    }
    *counts = gpu.counts();
    check(!(parts[0] == parts[1]) && !(parts[1] == parts[2]), "other weights write other texts");
    for (const Written& part : parts) {
      written.tokens.insert(written.tokens.end(), part.tokens.begin(), part.tokens.end());
      written.logprobs.insert(written.logprobs.end(), part.logprobs.begin(), part.logprobs.end());
    }
    return written;
  };
  cuda::GraphCounts with, without;
  check(run(true, &with) == run(false, &without), "replayed steps see weights that changed in place");
  check(with.made == 1 && with.replayed >= 12,
        "with one graph for all of them (" + std::to_string(with.replayed) + " replays)");
}

/// A second model, a second cache, an adapter: other memory, so that no graph of before may be used.
void test_other_memory() {
  const auto run = [](bool graphs) {
    GpuModel gpu(graphs);
    Model other(gpu.shape, GpuModel::options(graphs));
    other.initialise(1234, 0.2);
    Random random(7);
    const std::vector<int32_t> prompt = random_ids(random, 20, gpu.shape.V);
    Written written;
    for (Model* model : {&gpu.model, &other, &gpu.model}) {
      KvCache cache(model->ops(), gpu.shape, DType::kBF16, 20);
      std::vector<StepRow> rows{row_of(cache.add(), prompt, 0), row_of(cache.add(), prompt, 2)};
      for (int i = 0; i < 6; ++i) decode(*model, cache, rows, &written);
      // The arena grows: everything lies elsewhere.
      std::vector<StepRow> more;
      for (uint32_t s = 0; s < 9; ++s) more.push_back(row_of(cache.add(), random_ids(random, 50, gpu.shape.V), s));
      decode(*model, cache, more, &written);
      for (int i = 0; i < 4; ++i) decode(*model, cache, rows, &written);
    }
    return written;
  };
  check(run(true) == run(false), "two models and caches on one device, arenas that grow: never another's graph");
}

/// Another thread releases blocks while steps are being captured; none of that may become part of a graph.
void test_releases_meanwhile() {
  Written expected, written;
  for (const bool graphs : {false, true}) {
    GpuModel gpu(graphs);
    std::vector<void*> blocks;
    for (int i = 0; i < 3000; ++i) blocks.push_back(gpu.device->allocate(256, "a block"));
    std::atomic<bool> started = false;
    std::thread other([&] {
      started = true;
      for (void* block : blocks) {
        gpu.device->release(block, 256);
        std::this_thread::yield();
      }
    });
    while (!started) std::this_thread::yield();
    for (int i = 0; i < 3; ++i) {
      Written part = generate(gpu);
      if (i == 0) (graphs ? written : expected) = std::move(part);
    }
    other.join();
    gpu.device->synchronize();
  }
  const std::string report = simulator_report();
  const size_t failed = report.find("\"failed_calls\""),
               freed = report.find("cuMemFree", std::min(failed, report.size()));
  check(written == expected && freed == std::string::npos,
        "blocks that another thread releases meanwhile are freed, and no part of a graph");
}

void test_failures() {
  if (!set_simulator("fail", "")) return;
  const auto start = [](GpuModel& gpu, KvCache& cache) {
    Random random(8);
    std::vector<StepRow> rows;
    for (uint32_t s = 0; s < 3; ++s) rows.push_back(row_of(cache.add(), random_ids(random, 12, gpu.shape.V), s));
    return rows;
  };
  Written expected;
  {
    GpuModel gpu(false);
    KvCache cache(gpu.model.ops(), gpu.shape, DType::kBF16, 20);
    std::vector<StepRow> rows = start(gpu, cache);
    for (int i = 0; i < 10; ++i) decode(gpu.model, cache, rows, &expected);
  }
  {
    GpuModel gpu(true);
    KvCache cache(gpu.model.ops(), gpu.shape, DType::kBF16, 20);
    std::vector<StepRow> rows = start(gpu, cache);
    Written written;
    set_simulator("fail", "graph:1");
    for (int i = 0; i < 10; ++i) decode(gpu.model, cache, rows, &written);
    set_simulator("fail", "");
    check(written == expected && gpu.counts().replayed > 0,
          "without memory for a graph the step is queued, and a later one is made");
  }
  for (const auto& [fail, when] : {std::pair{"captured:5", 1}, std::pair{"launch-error:5", 6}}) {
    GpuModel gpu(true);
    KvCache cache(gpu.model.ops(), gpu.shape, DType::kBF16, 20);
    std::vector<StepRow> rows = start(gpu, cache);
    Written written;
    bool refused = false;
    for (int i = 0; i < 10; ++i) {
      if (i >= when && !refused) {
        set_simulator("fail", fail);
        const int64_t length = cache.length(rows[0].seq);
        try {
          decode(gpu.model, cache, rows, &written);
        } catch (const Error& error) {
          refused = error.code() == "ERR_CUDA_LAUNCH" && cache.length(rows[0].seq) == length;
          std::printf("       %s\n", error.what());
        }
        set_simulator("fail", "");
        if (!refused) continue;
      }
      decode(gpu.model, cache, rows, &written);
    }
    check(refused && written == expected,
          std::string(fail) + " is ERR_CUDA_LAUNCH, leaves the cache as it was, and the next step goes on");
  }
  {
    GpuModel gpu(true);
    KvCache cache(gpu.model.ops(), gpu.shape, DType::kBF16, 20);
    std::vector<StepRow> rows = start(gpu, cache);
    Written written;
    for (int i = 0; i < 6; ++i) decode(gpu.model, cache, rows, &written);
    check(gpu.counts().replayed > 0, "steps are being replayed");
    set_simulator("fail", "launch:5");
    check_throws([&] { decode(gpu.model, cache, rows, &written); }, "ERR_DEVICE_LOST", "CUDA_ERROR_LAUNCH_FAILED",
                 "a kernel that fails inside a graph loses the device");
    set_simulator("fail", "");
    check_throws([&] { decode(gpu.model, cache, rows, &written); }, "ERR_DEVICE_LOST", "lost earlier",
                 "and so says every later step");
  }
  GpuModel again(true);
  KvCache cache(again.model.ops(), again.shape, DType::kBF16, 20);
  std::vector<StepRow> rows = start(again, cache);
  Written written;
  for (int i = 0; i < 10; ++i) decode(again.model, cache, rows, &written);
  check(written == expected, "a device opened after that works");
}

/// Not-finite hidden states and logits are the errors that they are on the CPU, replayed or not.
void test_not_finite() {
  for (const bool graphs : {false, true}) {
    GpuModel gpu(graphs);
    KvCache cache(gpu.model.ops(), gpu.shape, DType::kBF16, 20);
    Random random(9);
    std::vector<StepRow> rows{row_of(cache.add(), random_ids(random, 12, gpu.shape.V), 0)};
    Written written;
    for (int i = 0; i < 5; ++i) decode(gpu.model, cache, rows, &written);
    Memory& memory = *gpu.model.ops().memory();
    auto* norm = const_cast<float*>(gpu.model.parameters().vector(gpu.model.parameters().layout().final_norm()));
    const auto poison = [&](float value) { memory.upload(norm, std::vector<float>(1, value)); };
    const std::string label = graphs ? "replayed: " : "launch by launch: ";
    poison(std::numeric_limits<float>::infinity());
    check_throws([&] { decode(gpu.model, cache, rows, &written); }, "ERR_NOT_FINITE",
                 "Expected finite hidden states after the last layer", label + "an infinite hidden state is an error");
    poison(1.0f);
    decode(gpu.model, cache, rows, &written);
    check((gpu.counts().replayed > 0) == graphs, label + "and the next step goes on");
  }
}

void test_cache() {
  std::vector<intptr_t> gone;
  const auto handle = [](intptr_t n) { return reinterpret_cast<cu::GraphExec>(n); };
  cuda::GraphCache cache(2, [&](cu::GraphExec graph) { gone.push_back(reinterpret_cast<intptr_t>(graph)); });
  check(cache.find("a") == nullptr && cache.find("b") == nullptr, "a recording is new at first");
  cache.find("a")->graph = handle(1);
  cache.find("b")->graph = handle(2);
  cache.find("a");
  cache.find("c");
  check(gone == std::vector<intptr_t>{2} && cache.size() == 2, "the least recently used graph goes first");
  check(cache.find("a")->graph == handle(1) && cache.find("c")->graph == nullptr && cache.find("b") == nullptr,
        "the others stay");
  cache.clear();
  check(gone == (std::vector<intptr_t>{2, 1}) && cache.size() == 0, "each graph is destroyed once");
}

}  // namespace
}  // namespace toolgrad::test

int main() {
  using namespace toolgrad::test;
  if (open_gpu() == nullptr) return kSkipped;
  test_equal();
  test_calls();
  test_weights();
  test_other_memory();
  test_not_finite();
  test_releases_meanwhile();
  test_failures();
  test_cache();
  return finish();
}
