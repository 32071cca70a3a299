// The paged cache on the GPU: new keys and values, cleared and copied pages, to the bit of the CPU, slots that nobody wrote
// included.
#include "cuda_conflicts.h"
#include "cuda_settled.h"
#include "ops/ops.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

using Halves = std::vector<uint16_t>;

// One step: sequence s holds before[s] tokens and gets added[s] more.
struct Step {
  std::vector<int64_t> before, added;
};
// Prefill at and around page ends, single tokens into every kind of slot, runs across two and three pages, none at all.
const Step kSteps[] = {
    {{0}, {1}},
    {{0, 0, 0, 0, 0}, {31, 32, 33, 64, 100}},
    {{0, 31, 32, 33, 95}, {1, 1, 1, 1, 1}},
    {{30, 5, 31, 0, 63}, {4, 60, 66, 0, 33}},
};

struct Map {
  std::vector<int32_t> q_start{0}, kv_len, page_start, page_table;
  int64_t pages = 0;
  explicit Map(const Step& step) {
    for (size_t s = 0; s < step.added.size(); ++s) {
      const int64_t length = step.before[s] + step.added[s];
      q_start.push_back(q_start.back() + static_cast<int32_t>(step.added[s]));
      kv_len.push_back(static_cast<int32_t>(length));
      page_start.push_back(static_cast<int32_t>(pages));
      pages += (length + kKvPageSize - 1) / kKvPageSize;
    }
    for (int64_t i = 0; i < pages; ++i) page_table.push_back(static_cast<int32_t>(pages - 1 - i));
  }
  SequenceMap on_host() const {
    return sequence_map(q_start.data(), kv_len.data(), page_start.data(), page_table.data(),
                        static_cast<int64_t>(kv_len.size()));
  }
};

std::vector<float> as_floats(const Halves& a, const Halves& b) {
  std::vector<float> values;
  for (const Halves* halves : {&a, &b})
    for (const uint16_t bits : *halves) values.push_back(static_cast<float>(bits));
  return values;
}
Halves random_halves(Random& random, int64_t count) {
  Halves halves;
  for (int64_t i = 0; i < count; ++i) halves.push_back(static_cast<uint16_t>(random.next()));
  return halves;
}

void write(cuda::CudaDevice& gpu, Ops& cpu) {
  Random random(1);
  bool same = true;
  for (const auto& [G, D] : {std::pair<int64_t, int64_t>{1, 2}, {1, 8}, {3, 24}, {2, 72}, {8, 128}}) {
    for (const Step& step : kSteps) {
      const Map map(step);
      const SequenceMap host = map.on_host();
      const int64_t stride = G * D * kKvPageSize;
      const std::vector<float> k = random.normals(host.T * G * D), v = random.normals(host.T * G * D);
      const Halves keys = random_halves(random, map.pages * stride), values = random_halves(random, map.pages * stride);
      const std::vector<float> found = settled("kv_write", [&, G = G, D = D](Placement placement) {
        DeviceArray<float> on_k(gpu, k, placement), on_v(gpu, v, placement);
        DeviceArray<uint16_t> on_keys(gpu, keys, placement), on_values(gpu, values, placement);
        DeviceArray<int32_t> q_start(gpu, map.q_start, placement), kv_len(gpu, map.kv_len, placement);
        DeviceArray<int32_t> page_start(gpu, map.page_start, placement), table(gpu, map.page_table, placement);
        cuda::kv_write(gpu, {on_k.data(),
                             on_v.data(),
                             {on_keys.data(), on_values.data(), DType::kBF16, stride, G, D},
                             {q_start.data(), kv_len.data(), page_start.data(), table.data(), host.S, host.T,
                              host.max_q, host.max_kv}});
        return as_floats(on_keys.values(), on_values.values());
      });
      Halves expected_keys = keys, expected_values = values;
      cpu.kv_write(
          {k.data(), v.data(), {expected_keys.data(), expected_values.data(), DType::kBF16, stride, G, D}, host});
      same = same && same_bits(found, as_floats(expected_keys, expected_values));
    }
  }
  check(same, "kv_write: the CPU's bits, in slots that are not new too");
}

void prepare(cuda::CudaDevice& gpu, Ops& cpu) {
  Random random(2);
  bool same = true;
  for (const auto& [G, D] : {std::pair<int64_t, int64_t>{1, 2}, {3, 24}, {2, 128}}) {
    constexpr int64_t kLayers = 3, kPages = 9;
    const int64_t stride = G * D * kKvPageSize, layer = kPages * stride;
    const Halves cache = random_halves(random, 2 * kLayers * layer);  // per layer: keys, then values
    // Page 6 is only cleared, the last copy is of a full page.
    const std::vector<int32_t> fresh = {8, 2, 5, 0, 6}, from = {1, 3, 7, 4}, to = {8, 5, 0, 2}, slots = {1, 31, 17, 32};
    const auto op = [&, G = G, D = D](uint16_t* base) {
      return KvPrepare{{base, base + layer, DType::kBF16, stride, G, D},
                       kLayers,
                       4 * layer,
                       fresh.data(),
                       static_cast<int64_t>(fresh.size()),
                       from.data(),
                       to.data(),
                       slots.data(),
                       static_cast<int64_t>(from.size())};
    };
    const std::vector<float> found = settled("kv_prepare", [&](Placement placement) {
      DeviceArray<uint16_t> on(gpu, cache, placement);
      cuda::kv_prepare(gpu, op(on.data()));
      return as_floats(on.values(), {});
    });
    Halves expected = cache;
    cpu.kv_prepare(op(expected.data()));
    same = same && same_bits(found, as_floats(expected, {}));
  }
  check(same, "kv_prepare: cleared and copied pages of every layer, nothing else");
}

}  // namespace

int main() {
  const std::shared_ptr<cuda::CudaDevice> gpu = open_gpu();
  if (gpu == nullptr) return kSkipped;
  Backend cpu(best_isa(), 1);
  write(*gpu, *cpu.ops);
  prepare(*gpu, *cpu.ops);
  check_conflicts();
  return finish();
}
