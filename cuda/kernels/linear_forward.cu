// y = x W^T (+ bias) (+ residual): x bf16 rows, W bf16 panels, y fp32.
//
// Contract: y[t,n] is the chain of mma steps over k of gemm_tile.cuh, then + bias[n], then + residual[t,n], each rounded
// once. Deterministic; the bits of a row do not depend on T, on other rows or on which of the three shapes runs.
// Roofline: 2 T N K flops, 2 (T K + N K) + 4 T N bytes. Wide tiles are bound by the tensor cores (64 flops per byte of
// shared memory traffic per warp), skinny ones (T <= 16) by reading W once.
#include "kernels/gemm_operands.cuh"
#include "kernels/gemm_tile.cuh"
#include "kernels/linear_forward.h"

namespace toolgrad::cuda {
namespace {

template <class Shape>
__device__ __forceinline__ void linear_forward(const LinearForwardParams& p) {
  extern __shared__ __align__(128) char shared[];
  const TilePlace place = tile_place(static_cast<int>(blockIdx.x), p.tiles_m, p.tiles_n);
  const int64_t t0 = static_cast<int64_t>(place.m) * Shape::kM;
  const int n0 = place.n * Shape::kN;
  const RowOperand<Shape::kM, Shape::kK, Shape::kThreads> a(p.x, p.T, p.x_stride, t0);
  const PanelRows<Shape::kN, Shape::kK, Shape::kThreads> b(p.w, p.N, p.K, n0);
  Sums<Shape> sums;
  sums.clear();
  gemm_tile<Shape>(a, b, (p.K + Shape::kK - 1) / Shape::kK, shared, sums);

  const int64_t rows = p.T - t0;
  const int columns = p.N - n0;
  // Two floats at once where y's rows keep the alignment.
  const bool pairs =
      p.N % 2 == 0 && reinterpret_cast<uintptr_t>(p.y) % 8 == 0 && reinterpret_cast<uintptr_t>(p.residual) % 8 == 0;
  sums.each_pair([&](int row, int col, float& first, float& second) {
    if (row >= rows || col >= columns) return;
    const bool both = col + 1 < columns;
    const int64_t at = (t0 + row) * p.N + n0 + col;
    if (p.bias != nullptr) {
      first += p.bias[n0 + col];
      if (both) second += p.bias[n0 + col + 1];
    }
    if (pairs) {
      if (p.residual != nullptr) {
        const float2 add = *reinterpret_cast<const float2*>(p.residual + at);
        first += add.x;
        second += add.y;
      }
      *reinterpret_cast<float2*>(p.y + at) = make_float2(first, second);
      return;
    }
    if (p.residual != nullptr) {
      first += p.residual[at];
      if (both) second += p.residual[at + 1];
    }
    p.y[at] = first;
    if (both) p.y[at + 1] = second;
  });
}

}  // namespace

extern "C" __global__ void __launch_bounds__(GemmWide::kThreads, 2) linear_forward_wide(const LinearForwardParams p) {
  linear_forward<GemmWide>(p);
}
extern "C" __global__ void __launch_bounds__(GemmMedium::kThreads, 3)
    linear_forward_medium(const LinearForwardParams p) {
  linear_forward<GemmMedium>(p);
}
extern "C" __global__ void __launch_bounds__(GemmSkinny::kThreads, 2)
    linear_forward_skinny(const LinearForwardParams p) {
  linear_forward<GemmSkinny>(p);
}

}  // namespace toolgrad::cuda
