// Parameters of move_rows.cu: rows by index, and the sum of two arrays.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

constexpr int kMoveThreads = 256;
constexpr int kAddPerBlock = kMoveThreads * 4;  // elements

/// Gather: out[r, :] = x[rows[r], :]. Scatter: out[rows[r], :] = x[r, :].
struct MoveRowsParams {
  const float* x;
  const int32_t* rows;  // [R]
  float* out;
  int64_t R;
  int32_t C;
  int32_t block_rows;  // of one block
};
/// to[i] += x[i].
struct AddParams {
  float* to;
  const float* x;
  int64_t n;
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_MOVE_ROWS_KERNELS(X)                                                                      \
  X(move_rows, gather_rows_by_index, ::toolgrad::cuda::MoveRowsParams, ::toolgrad::cuda::kMoveThreads, 0)  \
  X(move_rows, scatter_rows_by_index, ::toolgrad::cuda::MoveRowsParams, ::toolgrad::cuda::kMoveThreads, 0) \
  X(move_rows, add_elements, ::toolgrad::cuda::AddParams, ::toolgrad::cuda::kMoveThreads, 0)
