// Parameters of reduce.cu: sum of squares in order, and whether all values are finite.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

constexpr int kReduceThreads = 256;
constexpr int kReducePerBlock = 4096;  // elements, anchored at 0

/// sums[b] = sum of squares of x[4096 b .. 4096 b + 4095].
struct SquaresParams {
  const float* x;
  double* sums;
  int64_t n;
};
/// *total = the sum of sums[0 .. count - 1]. One block.
struct SquaresTotalParams {
  const double* sums;
  double* total;
  int64_t count;
};
/// Sets *found to 1 when a value is NaN or infinite; leaves it alone otherwise.
struct NotFiniteParams {
  const float* x;
  int32_t* found;
  int64_t n;
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_REDUCE_KERNELS(X)                                                                        \
  X(reduce, sum_squares_blocks, ::toolgrad::cuda::SquaresParams, ::toolgrad::cuda::kReduceThreads, 0)     \
  X(reduce, sum_squares_total, ::toolgrad::cuda::SquaresTotalParams, ::toolgrad::cuda::kReduceThreads, 0) \
  X(reduce, find_not_finite, ::toolgrad::cuda::NotFiniteParams, ::toolgrad::cuda::kReduceThreads, 0)
