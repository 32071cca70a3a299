// Rows of [., C] by an int32 index, and to += x.
//
// Moving a row reads and writes 4 bytes an element, adding reads 8 and writes 4: bound by memory. A thread takes four
// columns of one row.
#include "kernels/four.cuh"
#include "kernels/move_rows.h"

namespace toolgrad::cuda {
namespace {

template <bool kScatter>
__device__ __forceinline__ void move_rows(const MoveRowsParams& p) {
  const int groups = (p.C + 3) / 4;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * p.block_rows;
  const int rows = static_cast<int>(p.R - first < p.block_rows ? p.R - first : p.block_rows);
  const bool wide = p.C % 4 == 0 && aligned(p.x, p.out);
#pragma unroll 2
  for (int i = threadIdx.x; i < rows * groups; i += kMoveThreads) {
    const int64_t r = first + i / groups, other = p.rows[r];
    const int c = 4 * (i % groups);
    const int64_t from = kScatter ? r : other, to = kScatter ? other : r;
    store_four(p.out + to * p.C + c, load_four(p.x + from * p.C + c, p.C - c, wide), p.C - c, wide);
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kMoveThreads) gather_rows_by_index(const MoveRowsParams p) {
  move_rows<false>(p);
}
extern "C" __global__ void __launch_bounds__(kMoveThreads) scatter_rows_by_index(const MoveRowsParams p) {
  move_rows<true>(p);
}
extern "C" __global__ void __launch_bounds__(kMoveThreads) add_elements(const AddParams p) {
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * kMoveThreads + threadIdx.x) * 4;
  if (i >= p.n) return;
  const bool wide = p.n - i >= 4 && aligned(p.to, p.x);
  Four to = load_four(p.to + i, p.n - i, wide);
  const Four x = load_four(p.x + i, p.n - i, wide);
#pragma unroll
  for (int j = 0; j < 4; ++j) to.v[j] += x.v[j];
  store_four(p.to + i, to, p.n - i, wide);
}

}  // namespace toolgrad::cuda
