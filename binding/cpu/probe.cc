// Spreads the probes of one ISA build over a pool; see probe.h. Work is cut finer than threads, so that a thread which
// the system takes away costs one part, as it does for kernels.
#include "cpu/probe.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "cpu/kernels/probe.h"
#include "engine/arena.h"

TOOLGRAD_DECLARE_PROBES(portable)
#if defined(TOOLGRAD_X86)
TOOLGRAD_DECLARE_PROBES(avx2)
TOOLGRAD_DECLARE_PROBES(avx512)
TOOLGRAD_DECLARE_PROBES(avx512bf16)
#endif

namespace toolgrad {
namespace {

constexpr int64_t kPartsPerThread = 8;

struct Probes {
  float (*multiply_add)(int64_t, float);
  int64_t (*operations_per_round)();
  float (*bf16_multiply_add)(int64_t, float);
  int64_t (*bf16_operations_per_round)();
  float (*read)(const float*, int64_t);
};

#define TOOLGRAD_PROBES(isa)                                                                \
  {                                                                                         \
    isa::probe_multiply_add, isa::probe_operations_per_round, isa::probe_bf16_multiply_add, \
        isa::probe_bf16_operations_per_round, isa::probe_read                               \
  }

Probes probes_of(Isa isa) {
#if defined(TOOLGRAD_X86)
  if (isa == Isa::kAvx512Bf16) return TOOLGRAD_PROBES(avx512bf16);
  if (isa == Isa::kAvx512) return TOOLGRAD_PROBES(avx512);
  if (isa == Isa::kAvx2) return TOOLGRAD_PROBES(avx2);
#endif
  (void)isa;
  return TOOLGRAD_PROBES(portable);
}

std::atomic<float> sink;  // keeps results alive

template <class F>
double seconds_of(F&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

std::vector<double> probe_flops(Isa isa, DType numbers, ThreadPool& pool, int runs, double seconds) {
  const Probes probes = probes_of(isa);
  const bool bf16 = numbers == DType::kBF16;
  const auto multiply_add = bf16 ? probes.bf16_multiply_add : probes.multiply_add;
  const int64_t operations = bf16 ? probes.bf16_operations_per_round() : probes.operations_per_round();
  const int64_t parts = kPartsPerThread * pool.threads();
  const auto once = [&](int64_t rounds) {
    return seconds_of([&] { pool.parallel_for(parts, [&](int64_t, int) { sink = multiply_add(rounds, 0.999f); }); });
  };
  int64_t rounds = 1000;
  while (once(rounds) < seconds / 4) rounds *= 2;
  rounds *= 4;
  std::vector<double> rates;
  for (int run = 0; run < runs; ++run) rates.push_back(static_cast<double>(parts * rounds * operations) / once(rounds));
  return rates;
}

std::vector<double> probe_read_rate(Isa isa, ThreadPool& pool, int runs, int64_t bytes) {
  const Probes probes = probes_of(isa);
  const Buffer memory(static_cast<size_t>(bytes), "the memory probe");
  const int64_t parts = kPartsPerThread * pool.threads();
  const int64_t each = bytes / static_cast<int64_t>(sizeof(float)) / parts;
  float* data = memory.as<float>();
  std::fill(data, data + each * parts, 1.0f);  // untouched pages would all be the same page of zeros
  std::vector<double> rates;
  for (int run = -1; run < runs; ++run) {
    const double spent = seconds_of(
        [&] { pool.parallel_for(parts, [&](int64_t part, int) { sink = probes.read(data + part * each, each); }); });
    if (run >= 0) rates.push_back(static_cast<double>(each * parts) * sizeof(float) / spent);
  }
  return rates;
}

}  // namespace toolgrad
