// Whole-array reductions: the ordered sum of squares (global gradient norm), and a search for NaN and infinity.
//
// Squares of floats are exact in double; blocks of 4096 elements anchored at 0, each in one fixed tree, then the blocks in
// another: the order depends on n alone. Reads 4 bytes an element: bound by memory (on GPUs with one fp64 unit in 64 the
// two fp64 instructions an element take about as long).
#include "kernels/four.cuh"
#include "kernels/lanes.cuh"
#include "kernels/reduce.h"

namespace toolgrad::cuda {
namespace {

constexpr int kWarps = kReduceThreads / 32;
constexpr int kRounds = kReducePerBlock / (4 * kReduceThreads);

// Elements at .. at + 3, zeros beyond n.
__device__ __forceinline__ Four load_at(const float* x, int64_t at, int64_t n) {
  return at < n ? load_four(x + at, n - at, n - at >= 4 && aligned(x)) : Four{};
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kReduceThreads) sum_squares_blocks(const SquaresParams p) {
  __shared__ double shared[kWarps];
  const int64_t start = static_cast<int64_t>(blockIdx.x) * kReducePerBlock + 4 * threadIdx.x;
  Four x[kRounds];
#pragma unroll
  for (int i = 0; i < kRounds; ++i) {
    const int64_t at = start + i * 4 * kReduceThreads;
    x[i] = load_at(p.x, at, p.n);
  }
  double sum = 0.0;
#pragma unroll
  for (int i = 0; i < kRounds; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const double value = static_cast<double>(x[i].v[j]);
      sum = fma(value, value, sum);
    }
  }
  sum = add_block<kWarps>(sum, shared);
  if (threadIdx.x == 0) p.sums[blockIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(kReduceThreads) sum_squares_total(const SquaresTotalParams p) {
  __shared__ double shared[kWarps];
  double sum = 0.0;
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < p.count; i += kReduceThreads) sum += p.sums[i];
  sum = add_block<kWarps>(sum, shared);
  if (threadIdx.x == 0) *p.total = sum;
}

extern "C" __global__ void __launch_bounds__(kReduceThreads) find_not_finite(const NotFiniteParams p) {
  const int64_t start = static_cast<int64_t>(blockIdx.x) * kReducePerBlock + 4 * threadIdx.x;
  bool bad = false;
#pragma unroll
  for (int i = 0; i < kRounds; ++i) {
    const int64_t at = start + i * 4 * kReduceThreads;
    const Four x = load_at(p.x, at, p.n);
#pragma unroll
    for (int j = 0; j < 4; ++j) bad = bad || (__float_as_uint(x.v[j]) & 0x7f800000u) == 0x7f800000u;
  }
  if (bad) atomicOr(p.found, 1);
}

}  // namespace toolgrad::cuda
