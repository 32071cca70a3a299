// act = silu(gate) * up with gate = x Wg^T (+ bias), up = x Wu^T (+ bias): two linear layers and SwiGLU in one kernel.
//
// Contract: gate and up are linear_forward.cu's to the bit, act is swiglu.cu's of them; they are written only when asked
// for (training), so that inference writes one array instead of three and reads x once. Deterministic; the bits of a row
// do not depend on T, on other rows or on which of the three shapes runs.
// A tile's columns are of both matrices: eight of the gate, then the same eight of up, and so on. So a lane has an element
// of the gate and its partner of up in neighbouring fragments, and needs no more registers than a plain product.
// Roofline: 4 T F K flops, 2 (T K + 2 F K) + 4 T F bytes, 12 T F with gate and up.
#include "kernels/bf16.cuh"
#include "kernels/gemm_operands.cuh"
#include "kernels/gemm_tile.cuh"
#include "kernels/linear_gated.h"
#include "kernels/swiglu.cuh"

namespace toolgrad::cuda {
namespace {

template <class Shape>
__device__ __forceinline__ void linear_gated(const LinearGatedParams& p) {
  extern __shared__ __align__(128) char shared[];
  const TilePlace place = tile_place(static_cast<int>(blockIdx.x), p.tiles_m, p.tiles_n);
  const int64_t t0 = static_cast<int64_t>(place.m) * Shape::kM;
  const int f0 = place.n * (Shape::kN / 2);
  const RowOperand<Shape::kM, Shape::kK, Shape::kThreads> a(p.x, p.T, p.x_stride, t0);
  const TwinPanelRows<Shape::kN, Shape::kK, Shape::kThreads> b(p.w_gate, p.w_up, p.F, p.K, f0);
  Sums<Shape> sums;
  sums.clear();
  gemm_tile<Shape>(a, b, (p.K + Shape::kK - 1) / Shape::kK, shared, sums);

  const int64_t rows = p.T - t0;
  const int columns = p.F - f0;
  const bool pairs = p.F % 2 == 0 && (reinterpret_cast<uintptr_t>(p.act) | reinterpret_cast<uintptr_t>(p.gate) |
                                      reinterpret_cast<uintptr_t>(p.up)) %
                                             8 ==
                                         0;
  sums.each_twin([&](int row, int col, float(&gate)[2], float(&up)[2]) {
    if (row >= rows) return;
    if (col >= columns) {
      if (p.rounded != nullptr && f0 + col < p.rounded_stride)
        *reinterpret_cast<uint32_t*>(p.rounded + (t0 + row) * p.rounded_stride + f0 + col) = 0;
      return;
    }
    const bool both = col + 1 < columns;
    if (p.bias_gate != nullptr) {
      gate[0] += p.bias_gate[f0 + col];
      if (both) gate[1] += p.bias_gate[f0 + col + 1];
    }
    if (p.bias_up != nullptr) {
      up[0] += p.bias_up[f0 + col];
      if (both) up[1] += p.bias_up[f0 + col + 1];
    }
    const int64_t at = (t0 + row) * p.F + f0 + col;
    const auto store = [&](float* to, float first, float second) {
      if (pairs) {
        *reinterpret_cast<float2*>(to + at) = make_float2(first, second);
        return;
      }
      to[at] = first;
      if (both) to[at + 1] = second;
    };
    if (p.gate != nullptr) {
      store(p.gate, gate[0], gate[1]);
      store(p.up, up[0], up[1]);
    }
    const float first = swiglu(gate[0], up[0]), second = both ? swiglu(gate[1], up[1]) : 0.0f;
    if (p.rounded != nullptr)
      *reinterpret_cast<uint32_t*>(p.rounded + (t0 + row) * p.rounded_stride + f0 + col) = pack_bf16(first, second);
    else
      store(p.act, first, second);
  });
}

}  // namespace

extern "C" __global__ void __launch_bounds__(GemmWide::kThreads, 2) linear_gated_wide(const LinearGatedParams p) {
  linear_gated<GemmWide>(p);
}
extern "C" __global__ void __launch_bounds__(GemmMedium::kThreads, 3) linear_gated_medium(const LinearGatedParams p) {
  linear_gated<GemmMedium>(p);
}
extern "C" __global__ void __launch_bounds__(GemmSkinny::kThreads, 2) linear_gated_skinny(const LinearGatedParams p) {
  linear_gated<GemmSkinny>(p);
}

}  // namespace toolgrad::cuda
