// Peaks of one thread: fused multiply-adds in registers, of fp32 numbers and of what products with bf16 weights take, and floats
// read from memory.
#include "cpu/kernels/probe.h"

#include "cpu/kernels/gemm_tile.h"

namespace toolgrad::TOOLGRAD_ISA {
namespace {

// Independent chains: enough to hide the latency of one multiply-add, few enough to stay in registers.
#if defined(__AVX512F__)
constexpr int kChains = 12;
#elif defined(__AVX2__)
constexpr int kChains = 6;
#else
constexpr int kChains = 3;
#endif

}  // namespace

int64_t probe_operations_per_round() {
  return 2 * int64_t{kChains} * kLanes;
}

float probe_multiply_add(int64_t rounds, float factor) {
  Vec chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = broadcast(static_cast<float>(i));
  const Vec a = broadcast(factor), b = broadcast(1.0f - factor);
  for (int64_t round = 0; round < rounds; ++round)
    for (int i = 0; i < kChains; ++i) chain[i] = fma(chain[i], a, b);
  Vec sum = zero();
  for (int i = 0; i < kChains; ++i) sum = sum + chain[i];
  return sum_lanes(sum);
}

#if defined(__AVX512BF16__)
int64_t probe_bf16_operations_per_round() {
  return 2 * probe_operations_per_round();
}

float probe_bf16_multiply_add(int64_t rounds, float factor) {
  using S = Step<Pair, Pair>;
  alignas(64) Pair pairs[kLanes];
  for (Pair& pair : pairs) pair = static_cast<Pair>(round_bf16(factor)) << 16 | round_bf16(1.0f - factor);
  const S::Row row = S::row(pairs[0]);
  Vec chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = broadcast(static_cast<float>(i));
  for (int64_t round = 0; round < rounds; ++round) {
    const S::Weights weights = S::weights(pairs);
    for (int i = 0; i < kChains; ++i) chain[i] = S::multiply_add(row, weights, chain[i]);
  }
  Vec sum = zero();
  for (int i = 0; i < kChains; ++i) sum = sum + chain[i];
  return sum_lanes(sum);
}
#else
int64_t probe_bf16_operations_per_round() {
  return probe_operations_per_round();
}

float probe_bf16_multiply_add(int64_t rounds, float factor) {
  return probe_multiply_add(rounds, factor);
}
#endif

float probe_read(const float* x, int64_t n) {
  constexpr int kSums = 4;
  Vec sum[kSums] = {zero(), zero(), zero(), zero()};
  for (int64_t i = 0; i + kSums * kLanes <= n; i += kSums * kLanes)
    for (int j = 0; j < kSums; ++j) sum[j] = sum[j] + load(x + i + j * kLanes);
  return sum_lanes((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

}  // namespace toolgrad::TOOLGRAD_ISA
