// Whole-buffer reductions. sum_of_squares: blocks of 4096 elements anchored at 0, eight interleaved double sums each,
// then blocks in order; products of floats are exact in double, so every ISA gives the same bits. Scratch slot 0: block
// results.
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/simd.h"

namespace toolgrad::TOOLGRAD_ISA {
namespace {

constexpr int64_t kBlock = 4096, kBlocksPerTask = 8;

double block_sum(const float* x, int64_t n) {
  double sum[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int j = 0; j < 8; ++j) {
      const double value = static_cast<double>(x[i + j]);
      sum[j] += value * value;
    }
  for (int j = 0; i < n; ++i, ++j) sum[j] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

bool block_finite(const float* x, int64_t n) {
  uint32_t bad = 0;
  for (int64_t i = 0; i < n; ++i) bad |= static_cast<uint32_t>((bits_of(x[i]) & 0x7f800000u) == 0x7f800000u);
  return bad == 0;
}

// Runs f(first block, last block) on tasks of whole blocks.
template <class F>
void each_task(ThreadPool& pool, int64_t blocks, F&& f) {
  pool.parallel_for((blocks + kBlocksPerTask - 1) / kBlocksPerTask, [&](int64_t task, int) {
    const int64_t end = (task + 1) * kBlocksPerTask;
    for (int64_t b = task * kBlocksPerTask; b < (end < blocks ? end : blocks); ++b) f(b);
  });
}

TOOLGRAD_INLINE int64_t block_length(int64_t block, int64_t n) {
  return n - block * kBlock < kBlock ? n - block * kBlock : kBlock;
}

}  // namespace

double sum_of_squares(const float* x, int64_t n, ThreadPool& pool, Scratch& scratch) {
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  double* sums = static_cast<double*>(scratch.bytes(0, static_cast<size_t>(blocks) * sizeof(double)));
  each_task(pool, blocks, [&](int64_t b) { sums[b] = block_sum(x + b * kBlock, block_length(b, n)); });
  double total = 0;
  for (int64_t b = 0; b < blocks; ++b) total += sums[b];
  return total;
}

bool all_finite(const float* x, int64_t n, ThreadPool& pool, Scratch& scratch) {
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  uint8_t* finite = static_cast<uint8_t*>(scratch.bytes(0, static_cast<size_t>(blocks)));
  each_task(pool, blocks, [&](int64_t b) { finite[b] = block_finite(x + b * kBlock, block_length(b, n)); });
  for (int64_t b = 0; b < blocks; ++b)
    if (finite[b] == 0) return false;
  return true;
}

}  // namespace toolgrad::TOOLGRAD_ISA
