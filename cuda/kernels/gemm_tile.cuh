// A block's tile of C += A B in bf16 with fp32 sums: a pipeline of cp.async stages into swizzled shared memory, ldmatrix,
// mma. The operands differ in how they lie in memory (gemm_operands.cuh), the kernels in what they do with C.
//
// THE ORDER: each element of C is one chain of mma steps of 16 along the contraction, ascending, whatever the shape of the
// tile; steps past the end add exact zeros. So the bits of a row of C depend on its row of A and on B alone.
#pragma once

#include <cstdint>

#include "kernels/cp_async.cuh"
#include "kernels/gemm_shape.h"
#include "kernels/mma.cuh"
#include "kernels/shared_tile.cuh"

namespace toolgrad::cuda {

/// The sums of a warp: tiles of 16x8, see mma.cuh.
template <class Shape>
struct Sums {
  static constexpr int kTilesM = Shape::kWarpM / 16, kTilesN = Shape::kWarpN / 8;
  float at[kTilesM][kTilesN][4];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int m = 0; m < kTilesM; ++m)
#pragma unroll
      for (int n = 0; n < kTilesN; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) at[m][n][i] = 0.0f;
  }
  /// Calls f(state, row, column, first, second) for each pair of neighbouring elements this lane holds, with their place in
  /// the block's tile, where state is begin(row), asked once a row; f may change the elements.
  template <class Begin, class F>
  __device__ __forceinline__ void each_pair(Begin begin, F f) {
    const int lane = static_cast<int>(threadIdx.x & 31u), warp = static_cast<int>(threadIdx.x >> 5);
    const int row0 = (Shape::kWarpsM == 1 ? 0 : warp / Shape::kWarpsN * Shape::kWarpM) + lane / 4;
    const int col0 = warp % Shape::kWarpsN * Shape::kWarpN + lane % 4 * 2;
#pragma unroll
    for (int m = 0; m < kTilesM; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = row0 + m * 16 + half * 8;
        const auto state = begin(row);
#pragma unroll
        for (int n = 0; n < kTilesN; ++n) f(state, row, col0 + n * 8, at[m][n][2 * half], at[m][n][2 * half + 1]);
      }
  }
  /// Sums over TwinPanelRows: calls f(row, column, gate[2], up[2]) for each pair of neighbouring columns of the result.
  template <class F>
  __device__ __forceinline__ void each_twin(F f) {
    const int lane = static_cast<int>(threadIdx.x & 31u), warp = static_cast<int>(threadIdx.x >> 5);
    const int row0 = (Shape::kWarpsM == 1 ? 0 : warp / Shape::kWarpsN * Shape::kWarpM) + lane / 4;
    const int col0 = warp % Shape::kWarpsN * (Shape::kWarpN / 2) + lane % 4 * 2;
#pragma unroll
    for (int m = 0; m < kTilesM; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half)
#pragma unroll
        for (int n = 0; n < kTilesN; n += 2) {
          float gate[2] = {at[m][n][2 * half], at[m][n][2 * half + 1]};
          float up[2] = {at[m][n + 1][2 * half], at[m][n + 1][2 * half + 1]};
          f(row0 + m * 16 + half * 8, col0 + n * 4, gate, up);
        }
  }
  template <class F>
  __device__ __forceinline__ void each_pair(F f) {
    each_pair([](int) { return 0; },
              [&](int, int row, int col, float& first, float& second) { f(row, col, first, second); });
  }
};

/// sums += the block's tile over `steps` (1 or more) steps of Shape::kK along the contraction. Operands are of gemm_operands.cuh;
/// `shared` holds Shape::kSharedBytes. On return every warp is done with it.
template <class Shape, class A, class B>
__device__ __forceinline__ void gemm_tile(A& a, B& b, int steps, char* shared, Sums<Shape>& sums) {
  const uint32_t base = shared_address(shared);
  const int lane = static_cast<int>(threadIdx.x & 31u), warp = static_cast<int>(threadIdx.x >> 5);
  const int warp_m = warp / Shape::kWarpsN * Shape::kWarpM, warp_n = warp % Shape::kWarpsN * Shape::kWarpN;
  const auto stage_of = [&](int step) {
    return base + static_cast<uint32_t>(step % Shape::kStages * Shape::kStageBytes);
  };
  const auto fetch = [&](int step) {
    if (step == 0 || step < steps) {
      a.fetch(step, stage_of(step));
      b.fetch(step, stage_of(step) + Shape::kBytesA);
    }
    commit_copies();  // an empty group when there is nothing left: the count of groups stays that of steps
  };
#pragma unroll
  for (int step = 0; step < Shape::kStages - 1; ++step) fetch(step);

  int step = 0;
  do {
    wait_copies<Shape::kStages - 2>();
    __syncthreads();  // everyone's copies have landed, and everyone has left the stage that is fetched next
    fetch(step + Shape::kStages - 1);
    const uint32_t stage_a = stage_of(step), stage_b = stage_a + Shape::kBytesA;
#pragma unroll
    for (int k = 0; k < Shape::kK; k += 16) {
      uint32_t fragment_a[Sums<Shape>::kTilesM][4];
#pragma unroll
      for (int m = 0; m < Sums<Shape>::kTilesM; ++m) A::load(fragment_a[m], stage_a, warp_m + m * 16, k, lane);
#pragma unroll
      for (int n = 0; n < Sums<Shape>::kTilesN; n += 2) {
        uint32_t fragment_b[4];
        B::load(fragment_b, stage_b, warp_n + n * 8, k, lane);
#pragma unroll
        for (int m = 0; m < Sums<Shape>::kTilesM; ++m) {
          mma_bf16(sums.at[m][n], fragment_a[m], fragment_b[0], fragment_b[1]);
          mma_bf16(sums.at[m][n + 1], fragment_a[m], fragment_b[2], fragment_b[3]);
        }
      }
    }
  } while (++step < steps);
  wait_copies<0>();
  __syncthreads();
}

}  // namespace toolgrad::cuda
