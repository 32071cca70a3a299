// dx = dy W (or +=): dy bf16 rows, W bf16 panels, dx fp32.
//
// Contract: dx[t,k] is the chain of mma steps over n of gemm_tile.cuh from 0; with `accumulate` the old dx is added to its
// end, with one rounding (the CPU continues the chain from the old dx instead). Deterministic; the bits of a row do not
// depend on T or on which shape runs.
// Roofline: 2 T N K flops, 2 (T N + N K) + 4 T K bytes: bound by the tensor cores. A panel of W is one mma step of the
// contraction, with the step's two halves in one 32-byte line, so ldmatrix needs no transposition.
#include "kernels/gemm_operands.cuh"
#include "kernels/gemm_tile.cuh"
#include "kernels/linear_backward_input.h"

namespace toolgrad::cuda {
namespace {

template <class Shape>
__device__ __forceinline__ void linear_backward_input(const LinearBackwardInputParams& p) {
  extern __shared__ __align__(128) char shared[];
  const TilePlace place = tile_place(static_cast<int>(blockIdx.x), p.tiles_m, p.tiles_n);
  const int64_t t0 = static_cast<int64_t>(place.m) * Shape::kM;
  const int k0 = place.n * Shape::kN;
  const RowOperand<Shape::kM, Shape::kK, Shape::kThreads> a(p.dy, p.T, p.dy_stride, t0);
  const PanelColumns<Shape::kN, Shape::kK, Shape::kThreads> b(p.w, p.N, p.K, k0);
  Sums<Shape> sums;
  sums.clear();
  gemm_tile<Shape>(a, b, (p.N + Shape::kK - 1) / Shape::kK, shared, sums);

  const int64_t rows = p.T - t0;
  const int columns = p.K - k0;
  const bool pairs = p.K % 2 == 0 && reinterpret_cast<uintptr_t>(p.dx) % 8 == 0;
  sums.each_pair([&](int row, int col, float first, float second) {
    if (row >= rows || col >= columns) return;
    float* at = p.dx + (t0 + row) * p.K + k0 + col;
    if (pairs) {
      const float2 old = p.accumulate ? *reinterpret_cast<const float2*>(at) : make_float2(0.0f, 0.0f);
      *reinterpret_cast<float2*>(at) = make_float2(old.x + first, old.y + second);
      return;
    }
    at[0] = (p.accumulate ? at[0] : 0.0f) + first;
    if (col + 1 < columns) at[1] = (p.accumulate ? at[1] : 0.0f) + second;
  });
}

}  // namespace

extern "C" __global__ void __launch_bounds__(GemmWide::kThreads, 2)
    linear_backward_input_wide(const LinearBackwardInputParams p) {
  linear_backward_input<GemmWide>(p);
}
extern "C" __global__ void __launch_bounds__(GemmMedium::kThreads, 3)
    linear_backward_input_medium(const LinearBackwardInputParams p) {
  linear_backward_input<GemmMedium>(p);
}

}  // namespace toolgrad::cuda
